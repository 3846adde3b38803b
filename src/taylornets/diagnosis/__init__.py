"""Diagnosis of a user's own network: the computations behind `taylornets diagnose`.

A factory in the user's file returns a model, data, an optimizer and a loss. The network and its Taylor models are trained in
lockstep (or saved parameters are read), the regime is evaluated along the way, and the results are saved as a record, from
which `taylornets.report` builds the page.
"""

from taylornets.diagnosis._request import DiagnosisRequest as DiagnosisRequest
from taylornets.diagnosis._run import Diagnosed as Diagnosed
from taylornets.diagnosis._run import diagnose as diagnose
from taylornets.diagnosis._template import write_template as write_template
