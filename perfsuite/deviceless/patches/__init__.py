"""What torch, triton and torchao have to be told before they work for a GPU that is not there.

Every patch is a context manager in a file of its own, which says why it is needed, and takes itself
back. A private name that it replaces is looked up first: one that has moved raises `HookMoved`.
"""
