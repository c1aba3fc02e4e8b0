from archflow.datasets.doctor import attribute_findings
from archflow.graphs import Architecture, ArchitectureTable, Operations

OPERATIONS = Operations.of(["conv"], attributes=["channels", "kernel", "stride"])


def table(*numbers):
    """Return chains of one convolution with the given channels and kernel."""
    chains = [
        Architecture(
            ("input", "conv", "output"),
            ((0, 1), (1, 2)),
            {"channels": (0, channels, 0), "kernel": (0, kernel, 0)},
        )
        for channels, kernel in numbers
    ]
    return ArchitectureTable.of(chains, OPERATIONS)


def test_constant_and_absent_attributes():
    constant, absent = attribute_findings(table((16, 3), (32, 3)))
    assert (constant.kind, constant.column, constant.severity) == ("attribute-constant", "kernel", "note")
    assert constant.message.startswith("attribute kernel: 3 in all 2 nodes that have it")
    assert constant.numbers == {"value": 3, "nodes": 2}
    assert (absent.kind, absent.column) == ("attribute-absent", "stride")


def test_attributes_that_vary_and_vocabularies_without_any():
    kinds = [finding.column for finding in attribute_findings(table((16, 3), (32, 5)))]
    assert kinds == ["stride"]
    plain = ArchitectureTable.of([Architecture(("input", "output"), ((0, 1),))])
    assert attribute_findings(plain) == []
