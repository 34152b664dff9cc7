import torch


class Sampler:
    def __init__(self, transport):
        self.transport = transport

    def sample_ode(
        self,
        *,
        sampling_method="dopri5",
        num_steps=50,
        atol=1e-6,
        rtol=1e-3,
        reverse=False,
        do_shift=False,
        time_shifting_factor=None,
    ):
        def sample(x, model, **model_kwargs):
            found = [x.float()]
            for t in torch.linspace(0, 1, num_steps)[:-1]:
                velocity = model(image_latents=found[-1], t=t.expand(len(x)), **model_kwargs)
                found.append(found[-1] + velocity / num_steps)
            return torch.stack(found)

        return sample
