from stub_language import make_noise

make_noise("src is imported", child=True)


class Registry:
    def build(self, config):
        from src.models.harmon import Harmon

        return Harmon(config.vae, 0.2325, config.llm, None, None, config.prompt_template)


BUILDER = Registry()
