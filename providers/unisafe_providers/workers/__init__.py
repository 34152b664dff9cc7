"""The pool of workers: a model in one or several processes, whoever starts them and however they are spoken to."""
