from stub_language import make_noise

make_noise("omnigen2 is imported", child=True)
