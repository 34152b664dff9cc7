from stub_language import make_noise

from .modeling_showo2_qwen2_5 import Showo2Qwen2_5 as Showo2Qwen2_5
from .omni_attention import omni_attn_mask_naive as omni_attn_mask_naive
from .wan21_vae import WanVAE as WanVAE

make_noise("models is imported", child=True)
