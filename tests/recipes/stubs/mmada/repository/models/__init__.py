from stub_language import make_noise

from .modeling_magvitv2 import MAGVITv2 as MAGVITv2
from .modeling_mmada import MMadaModelLM as MMadaModelLM
from .sampling import get_mask_schedule as get_mask_schedule

make_noise("models is imported", child=True)
