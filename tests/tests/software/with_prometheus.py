"""Reads pages of metrics as Prometheus' own library does, and prints what it took for what."""
import sys
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

for url in sys.argv[1:]:
    with urlopen(url) as answer:
        page = answer.read().decode()
    families = list(text_string_to_metric_families(page))
    assert len(families) == page.count("# TYPE "), "a family was not understood"
    lines = [line for line in page.splitlines() if not line.startswith("#")]
    assert sum(len(family.samples) for family in families) == len(lines), "a sample was not understood"
    for family in families:
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            print(family.type, sample.name, labels, sample.value)
