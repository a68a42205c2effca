"""Fair comparison of architectures: plans, runs, what they answered, statistics and reports.

Everything here knows fairseq's commands and what they write, and nothing about models. In the
order of the work: ``plan`` says what is compared, ``comparison`` and ``runs`` what is run for it,
``launcher`` runs it, ``logs`` and ``scoring`` read what it wrote, ``metrics``, ``resampling``,
``statistics`` and ``buckets`` say what follows, ``results`` puts it together in the shape of
``record``, ``report`` shows it.
"""
