from ushydra_lab.api import Prediction as Prediction
from ushydra_lab.api import Run as Run
from ushydra_lab.api import UserError as UserError
from ushydra_lab.api import evaluate as evaluate
from ushydra_lab.api import load as load
from ushydra_lab.api import predict as predict
from ushydra_lab.api import read_manifest as read_manifest
from ushydra_lab.api import train as train
from ushydra_lab.api import write_report as write_report

__version__: str
