"""What fairseq's setup.py sees for torch while setup.sh builds it.

Its extensions for speech and non-autoregressive translation need torch's headers, which take
nearly all of the compile time. They are left out; fairseq imports each only where it uses it.
"""
