from stub_language import make_noise

make_noise("janus is imported", child=True)
