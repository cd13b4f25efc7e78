"""Cores and free memory, as Linux tells them of a machine and of a container."""

from pathlib import Path

from forecasting.models.machine import cores, free_megabytes


def write(root: Path, **files: str) -> None:
    """Write the files that Linux shows of memory and processors; `__` stands for the dot of a name."""
    (root / "sys/fs/cgroup").mkdir(parents=True)
    (root / "proc").mkdir()
    (root / "proc/meminfo").write_text("MemTotal: 8388608 kB\nMemAvailable:    4194304 kB\n")
    for name, text in files.items():
        (root / "sys/fs/cgroup" / name.replace("__", ".")).write_text(text)


def test_a_machine_has_the_memory_that_is_available(tmp_path: Path) -> None:
    write(tmp_path)
    assert free_megabytes(tmp_path) == 4096


def test_a_container_has_what_its_limit_leaves_and_can_drop_what_it_read(tmp_path: Path) -> None:
    used = {"memory__current": f"{1536 << 20}\n", "memory__stat": f"anon 5\ninactive_file {512 << 20}\n"}
    write(tmp_path, memory__max=f"{2048 << 20}\n", **used)
    assert free_megabytes(tmp_path) == 1024


def test_a_container_without_a_limit_has_the_memory_of_the_machine(tmp_path: Path) -> None:
    write(tmp_path, memory__max="max\n", memory__current="5\n")
    assert free_megabytes(tmp_path) == 4096


def test_another_system_does_not_tell_its_memory(tmp_path: Path) -> None:
    assert free_megabytes(tmp_path) is None
    assert cores(tmp_path) >= 1


def test_a_container_has_its_share_of_the_cores_and_at_least_one(tmp_path: Path) -> None:
    write(tmp_path, cpu__max="50000 100000\n")
    assert cores(tmp_path) == 1


def test_a_container_without_a_share_has_all_cores(tmp_path: Path) -> None:
    write(tmp_path, cpu__max="max 100000\n")
    assert cores(tmp_path) == cores(tmp_path / "elsewhere")
