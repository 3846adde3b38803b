"""scikit-learn estimators: `TaylorRegressor`, `TaylorClassifier`, `NTKRegressor`, `NTKClassifier`.

**Fitted state.** Every attribute that ends in an underscore is an array, a number, a string, a list or dictionary of these, or
`None`. The exception is `certificate_`, which holds `primal` and `dual` (numbers) and `dual_vector` (an array). Together with
the parameters (`get_params`), these attributes fully determine the model.

- All: `n_features_in_`, `feature_names_in_` (if the data had names), `certificate_`, `objective_`, `n_iter_`, `path_`,
  `activation_`, `input_offset_`, `input_scale_`, `input_bias_`.
- Classifiers: `classes_`, `temperature_`. Regressors: `target_offset_`, `target_scale_`, `target_columns_`.
- Taylor: `initial_weights_`, `signs_`, `displacement_`, `input_radius_`, `model_`, `loss_`, `power_`, `penalty_`,
  `status_`, `history_`.
- NTK: `initial_weights_` (`None` for infinite width), `train_inputs_`, `coefficients_`, `ridge_`.
"""

from taylornets.estimators._classifier import TaylorClassifier as TaylorClassifier
from taylornets.estimators._ntk_estimators import NTKClassifier as NTKClassifier
from taylornets.estimators._ntk_estimators import NTKRegressor as NTKRegressor
from taylornets.estimators._parameters import PENALTIES as PENALTIES
from taylornets.estimators._progress import watched as watched
from taylornets.estimators._regressor import TaylorRegressor as TaylorRegressor
from taylornets.estimators._saving import load as load
from taylornets.estimators._saving import save as save
