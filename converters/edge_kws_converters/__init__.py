"""The compiler: an int8 TFLite model in, C that runs it row by row out.

Reader -> graph.py -> passes -> writer:

    readers/   TFLite flatbuffers into the graph
    passes/    graph -> row program (rows.py), streaming form (streamify.py), ring sizes (schedule.py), addresses (memory.py)
    writers/   C, C array
    kernels.py which C kernel serves which layer on which core
"""
