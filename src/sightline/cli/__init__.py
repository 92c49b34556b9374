"""Run Sightline from the command line: one file for each verb."""
