class VocabInfo:
    def __init__(self, vocab_map):
        self.eos_id = vocab_map["</s>"]
        self.bos_id, self.eot_id = vocab_map["<s>"], vocab_map["<reserved08706>"]
