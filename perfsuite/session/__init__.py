"""One pytest session: what is checked beforehand, run, judged and kept."""
