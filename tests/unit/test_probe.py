"""What the look at a host reads, on file systems laid out by the tests."""

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import probe, probe_k3s, probe_network, probe_storage


def lay(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


def device(slot, vendor, kind, model="0x20b0"):
    base = f"sys/bus/pci/devices/{slot}"
    return {f"{base}/vendor": vendor + "\n", f"{base}/class": kind + "\n", f"{base}/device": model + "\n"}


def test_gpus_are_nvidias_display_and_3d_controllers(tmp_path):
    lay(
        tmp_path,
        device("0000:00:00.0", "0x8086", "0x060000")
        | device("0000:17:00.0", "0x10de", "0x030200")
        | device("0000:18:00.0", "0x10de", "0x030000", "0x26b9")
        | device("0000:18:00.1", "0x10de", "0x040300")
        | device("0000:19:00.0", "0x1002", "0x030000"),
    )
    assert probe.pci_gpus(tmp_path) == [
        {"slot": "0000:17:00.0", "device_id": "0x20b0"},
        {"slot": "0000:18:00.0", "device_id": "0x26b9"},
    ]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", []),
        ("No devices were found\n", []),
        (
            "0, GPU-1, NVIDIA A100-PCIE-40GB, 40960, 580.173.02, 00000000:17:00.0\n",
            [
                {
                    "index": 0, "uuid": "GPU-1", "name": "NVIDIA A100-PCIE-40GB", "memory_mib": 40960, "driver_version": "580.173.02",
                    "slot": "00000000:17:00.0",
                }
            ],
        ),
        (
            "1, GPU-2, NVIDIA H100, [Unknown Error], 580.173.02, 00000000:18:00.0\n",
            [
                {
                    "index": 1, "uuid": "GPU-2", "name": "NVIDIA H100", "memory_mib": 0, "driver_version": "580.173.02",
                    "slot": "00000000:18:00.0",
                }
            ],
        ),
    ],
)  # fmt: skip
def test_rows_of_nvidia_smi(output, expected):
    assert probe.parse_smi(output) == expected


def test_a_host_without_nvidia_smi_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    seen = probe.gpu(tmp_path)
    assert (seen["nvidia_smi"]["rc"], seen["driver_version"], seen["nouveau_loaded"]) == (None, None, False)
    assert "not installed" in seen["nvidia_smi"]["error"]


def test_a_failing_nvidia_smi_keeps_its_code_and_reason(tmp_path, monkeypatch):
    script = tmp_path / "nvidia-smi"
    script.write_text("#!/bin/sh\necho 'Failed to initialize NVML: Driver/library version mismatch'\nexit 18\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "sys/module/nouveau").mkdir(parents=True)
    seen = probe.gpu(tmp_path)
    assert seen["nvidia_smi"] == {"rc": 18, "gpus": [], "error": "Failed to initialize NVML: Driver/library version mismatch"}
    assert seen["nouveau_loaded"]


def test_listeners_are_listed_with_protocol_and_port(tmp_path):
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    row = "   0: {}:{:04X} 00000000:0000 {} 00000000:00000000 00:00000000 00000000     0        0 {} 1\n"
    lay(
        tmp_path,
        {
            "proc/net/tcp": head + row.format("00000000", 6443, "0A", 11) + row.format("0100007F", 40000, "01", 12),
            "proc/net/udp": head + row.format("00000000", 8472, "07", 13),
            "proc/7/comm": "k3s-server\n",
            "proc/7/cgroup": "1:name=systemd:/system.slice/k3s.service\n",
        },
    )
    (tmp_path / "proc/7/fd").mkdir()
    (tmp_path / "proc/7/fd/3").symlink_to("socket:[11]")
    assert probe_network.listeners(tmp_path) == [
        {"protocol": "tcp", "port": 6443, "process": "k3s-server", "unit": "k3s.service"},
        {"protocol": "udp", "port": 8472, "process": "", "unit": ""},
    ]


def test_mounts_have_their_names_back(tmp_path):
    lay(tmp_path, {"proc/self/mounts": "10.0.0.1:/srv /mnt/a\\040b nfs4 ro,hard 0 0\n"})
    (mount,) = probe_storage.mount_table(tmp_path)
    assert mount == {"source": "10.0.0.1:/srv", "target": "/mnt/a b", "fstype": "nfs4", "options": ["ro", "hard"]}


def test_k3s_is_described_by_its_files(tmp_path):
    assert probe_k3s.k3s(tmp_path)["unit"] is None
    lay(
        tmp_path,
        {
            "usr/local/bin/k3s": "#!/bin/sh\necho 'k3s version v1.34.4+k3s1 (abc)'\n",
            "etc/systemd/system/k3s-agent.service": "",
            "etc/rancher/k3s/config.yaml": "server: https://a:6443\nnode-label:\n  - gpu=true\nkubelet-arg+: [a]\n",
            "var/lib/rancher/k3s/agent/etc/containerd/config-v3.toml.tmpl": "",
            "usr/local/nvidia/toolkit/nvidia-container-runtime": "",
        },
    )
    (tmp_path / "usr/local/bin/k3s").chmod(0o755)
    (tmp_path / "etc/rancher/rke2").mkdir()
    seen = probe_k3s.k3s(tmp_path)
    assert (seen["server_url"], seen["others"], seen["ca_sha256"]) == ("https://a:6443", ["RKE2"], None)
    assert (seen["unit"], seen["version"]) == ("k3s-agent.service", "v1.34.4+k3s1")
    assert seen["config_keys"] == ["server", "node-label", "kubelet-arg+"]
    assert seen["containerd_templates"] == ["/var/lib/rancher/k3s/agent/etc/containerd/config-v3.toml.tmpl"]
    assert seen["toolkit"] == ["/usr/local/nvidia/toolkit/nvidia-container-runtime"]
    assert len(seen["binary_sha256"]) == 64


def test_of_two_units_of_k3s_the_one_in_use_counts(tmp_path):
    lay(tmp_path, {"etc/systemd/system/k3s.service": "", "etc/systemd/system/k3s-agent.service": ""})
    assert (probe_k3s.k3s(tmp_path)["unit"], probe_k3s.k3s(tmp_path)["used"]) == ("k3s.service", [])
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir()
    (wants / "k3s-agent.service").symlink_to("../k3s-agent.service")
    assert (probe_k3s.k3s(tmp_path)["unit"], probe_k3s.k3s(tmp_path)["used"]) == ("k3s-agent.service", ["k3s-agent.service"])


def test_published_revisions_are_told_from_missing_ones(tmp_path):
    lay(tmp_path, {"org/m/rev/MANIFEST.sha256": "0" * 64 + "  config.json\n"})
    there, missing = str(tmp_path / "org/m/rev"), str(tmp_path / "org/m/other")
    seen = probe_storage.store([there, missing])
    assert seen[there]["files"] == 1
    assert len(seen[there]["manifest_sha256"]) == 64
    assert seen[missing] is None


def test_free_space_is_that_of_the_nearest_directory_that_exists(tmp_path):
    paths = [str(tmp_path), str(tmp_path / "not" / "yet")]
    seen = probe_storage.disks(paths)
    assert seen[paths[0]]["size_mib"] == seen[paths[1]]["size_mib"] > 0
    assert seen[paths[0]]["fstype"]


def test_nothing_is_mounted_inside_a_directory_that_is_yet_to_be_made():
    (seen,) = probe_storage.disks(["/yet-to-be-made"]).values()
    assert seen["inside"] == []


def test_an_address_that_nothing_answers_on_is_no_status(tmp_path):
    (seen,) = probe_network.answers(["http://127.0.0.1:9/"], timeout=2).values()
    assert not seen.isdigit()


def test_names_and_swap_are_those_of_the_host(tmp_path):
    for name, text in {"etc/hostname": "gpu-1\n", "proc/swaps": "Filename Type Size Used Priority\n/dev/zram0 partition 1 0 100\n"}.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    seen = probe.identity(tmp_path)
    assert (seen["static_hostname"], seen["swap"]) == ("gpu-1", ["/dev/zram0"])


def test_the_host_itself_can_be_looked_at():
    seen = probe.identity()
    assert seen["hostname"]
    assert seen["kernel"]
    assert seen["memory_mib"] > 0
    assert isinstance(seen["sudo"], bool)
