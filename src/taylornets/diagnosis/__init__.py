"""Diagnoses of a user's own network: what `taylornets diagnose` computes.

A factory in the user's file gives a model, data, an optimizer and a loss. The network and its Taylor models are trained in
lockstep (or saved parameters are read), the regime is measured along the way, and what was found is kept as a record, from
which `taylornets.report` makes the page.
"""

from taylornets.diagnosis._request import DiagnosisRequest as DiagnosisRequest
from taylornets.diagnosis._run import Diagnosed as Diagnosed
from taylornets.diagnosis._run import diagnose as diagnose
from taylornets.diagnosis._template import write_template as write_template
