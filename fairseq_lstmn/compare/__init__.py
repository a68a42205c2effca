"""Fair comparison of architectures: plans, runs, what they answered, statistics and reports.

Everything here knows fairseq's commands and what they write, and nothing about models. In the
order of the work: ``plan`` says what is compared and what is run for it, ``kinds`` what a task is
scored by, ``run`` runs it and reads what it wrote, ``stats`` says what follows, ``report`` puts it
together and shows it.
"""
