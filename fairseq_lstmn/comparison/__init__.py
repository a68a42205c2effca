"""Fair comparison of architectures: plans, runs, what they answered, statistics and reports.

Everything here knows fairseq's commands and what they write, and nothing about models. In the
order of the work: ``plan`` says what is compared, ``commands`` what is run for it, ``launcher``
runs it, ``logs`` and ``items`` read what it wrote, ``statistics`` and ``buckets`` what follows,
``results`` puts it together and ``report`` shows it.
"""
