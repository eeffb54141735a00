"""What a control group may use, read from files as the kernel writes them."""

import pytest

from motorpool._system import cgroup


def write_cgroup(tmp_path, files, membership):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "membership").write_text(membership)
    return tmp_path, tmp_path / "membership"


@pytest.mark.parametrize(
    ("files", "membership", "expected"),
    [
        ({"cpu.max": "150000 100000"}, "0::/\n", 1.5),
        ({"cpu.max": "max 100000"}, "0::/\n", None),
        ({"a/cpu.max": "max 100000", "a/b/cpu.max": "50000 100000"}, "0::/a/b\n", 0.5),
        ({"a/cpu.max": "100000 100000", "a/b/cpu.max": "300000 100000"}, "0::/a/b\n", 1.0),
        (
            {"cpu/x/cpu.cfs_quota_us": "200000", "cpu/x/cpu.cfs_period_us": "100000"},
            "3:cpuset:/\n1:cpu:/x\n0::/\n",
            2.0,
        ),
        (
            {"cpu,cpuacct/cpu.cfs_quota_us": "-1", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
            "1:cpu,cpuacct:/host/path\n",
            None,
        ),
    ],
)
def test_quota_of_control_groups_is_read(tmp_path, files, membership, expected):
    """Versions 1 and 2, nested groups, the strictest limit; written as the kernel writes them."""
    assert cgroup.cpu_quota(*write_cgroup(tmp_path, files, membership)) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"memory.max": "1000", "memory.current": "400"}, 600),
        ({"memory.max": "max", "memory.current": "400"}, None),
        ({"memory/memory.limit_in_bytes": "900", "memory/memory.usage_in_bytes": "1000"}, 0),
        (
            {
                "memory/memory.limit_in_bytes": "9223372036854771712",
                "memory/memory.usage_in_bytes": "1",
            },
            None,
        ),
    ],
)
def test_memory_limit_of_control_groups_is_read(tmp_path, files, expected):
    """Versions 1 and 2, with and without a limit."""
    found = cgroup.memory_headroom(*write_cgroup(tmp_path, files, "4:memory:/\n0::/\n"))
    assert found == expected
