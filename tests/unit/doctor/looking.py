"""What the tests of checks have in common."""


def only(findings):
    """Return the one finding."""
    [finding] = findings
    return finding


def statuses(findings):
    return [str(finding.status) for finding in findings]
