"""The trainings and scorings of an experiment: started, followed, resumed."""
