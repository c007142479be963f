"""The model store: what is published, what damage is found, and how a revision is brought in and mended."""

import hashlib
import os
import shutil

import pytest
from ansible_collections.rackstart.cluster.plugins.module_utils import store, store_hub
from ansible_collections.rackstart.cluster.plugins.module_utils.store import RemoteFile, StoreError

REPO, REVISION = "org/model", "0123456789abcdef0123456789abcdef01234567"
CONTENT = {"config.json": b"{}", "model.safetensors": b"weights" * 1000, "sub/tokens.txt": b"a b c"}


class Shelf:
    """A hub that holds CONTENT; `spoil` maps a file to what is sent instead of it."""

    def __init__(self, content=None, spoil=None):
        self.content, self.spoil, self.sent = content or CONTENT, spoil or {}, []

    def log(self, line):
        pass

    def files(self, repo, revision, chosen):
        return store.served(self.listed(), chosen)

    def listed(self):
        return [
            RemoteFile(
                path, len(data), hashlib.sha256(data).hexdigest() if path.endswith("safetensors") else None,
                hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(),
            )
            for path, data in self.content.items()
        ]  # fmt: skip

    def download(self, repo, revision, file, path):
        self.sent.append(file.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.spoil.get(file.path, self.content[file.path]))


@pytest.fixture
def place(tmp_path):
    """A published revision's directory."""
    store_hub.fetch(Shelf(), tmp_path, REPO, REVISION)
    return store.directory(tmp_path, REPO, REVISION)


def inspect(place, full=False):
    return store.inspect(place.parents[2], REPO, REVISION, full)


def mend(place, hub):
    store_hub.fetch(hub, place.parents[2], REPO, REVISION)


def test_a_revision_is_published_whole(place):
    assert {name: path.read_bytes() for name, path in store.entries(place).items()} == CONTENT
    sums = [f"{hashlib.sha256(CONTENT[path]).hexdigest()}  {path}\n" for path in sorted(CONTENT)]
    assert (place / "MANIFEST.sha256").read_text() == "".join(sums)
    assert not (place.parents[2] / ".staging" / REVISION).exists()
    state = inspect(place)
    assert (state.published, state.damage, state.modes) == (True, [], [])


def test_nothing_is_read_of_an_untouched_revision(place, monkeypatch):
    monkeypatch.setattr(store, "digests", lambda path: pytest.fail(f"{path} was read"))
    assert inspect(place).damage == []


def flip(path):
    """Change one byte and put the modification time back."""
    before, data = path.stat(), bytearray(path.read_bytes())
    data[10] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


DAMAGE = {
    "a flipped byte": (lambda place: flip(place / "model.safetensors"), "model.safetensors has sha256"),
    "a file replaced by a copy of another size": (lambda place: (place / "config.json").write_text("{ }"), "config.json has sha256"),
    "a file removed": (lambda place: (place / "sub" / "tokens.txt").unlink(), "sub/tokens.txt is missing"),
    "a directory added": (lambda place: shutil.copytree(place / "sub", place / "more" / "sub"), "more/sub/tokens.txt does not belong"),
    "a directory in a file's place": (
        lambda place: ((place / "config.json").unlink(), shutil.copytree(place / "sub", place / "config.json")),
        "config.json is missing",
    ),
    "a file in a directory's place": (lambda place: (shutil.rmtree(place / "sub"), (place / "sub").touch()), "sub/tokens.txt is missing"),
    "a file added": (lambda place: (place / "model-2.safetensors").touch(), "model-2.safetensors does not belong"),
    "a link in a file's place": (
        lambda place: (shutil.move(place / "config.json", place.parent), (place / "config.json").symlink_to("../config.json")),
        "config.json has sha256 none",
    ),
    "the manifest removed": (lambda place: (place / "MANIFEST.sha256").unlink(), "MANIFEST.sha256 is missing"),
    "the manifest emptied": (lambda place: (place / "MANIFEST.sha256").write_text(""), "MANIFEST.sha256 was altered"),
    "the manifest spoilt": (lambda place: (place / "MANIFEST.sha256").write_text("x"), "MANIFEST.sha256 is missing or unreadable"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found_and_mended_by_what_is_missing_alone(place, name):
    harm, finding = DAMAGE[name]
    harm(place)
    assert any(text.startswith(finding) for text in inspect(place).damage)
    hub, mounted = Shelf(), place.stat().st_ino
    mend(place, hub)
    assert inspect(place, full=True).damage == []
    assert place.stat().st_ino == mounted
    assert list((place.parents[2] / ".staging").iterdir()) == []
    assert "model.safetensors" not in hub.sent or name == "a flipped byte"


def test_a_byte_that_changed_beneath_the_file_system_needs_the_full_verification(place):
    target = place / "model.safetensors"
    flip(target)
    record = place.parents[2] / ".records" / REPO / f"{REVISION}.json"
    record.unlink()
    store.write_record(place.parents[2], REPO, REVISION)
    assert inspect(place).damage == []
    assert inspect(place, full=True).damage[0].startswith("model.safetensors has sha256")


def test_a_lost_record_costs_a_full_read_only(place):
    shutil.rmtree(place.parents[2] / ".records")
    assert inspect(place).damage == []
    flip(place / "model.safetensors")
    assert inspect(place).damage


def test_permissions_are_found_and_opened(place):
    (place / "config.json").chmod(0o600)
    (place / "sub").chmod(0o700)
    assert sorted(inspect(place).modes) == [place / "config.json", place / "sub"]
    store.open_modes(place)
    assert (inspect(place).damage, inspect(place).modes) == ([], [])


@pytest.mark.parametrize(("file", "kind"), [("model.safetensors", "sha256"), ("config.json", "git blob sha1")])
def test_a_wrong_checksum_stops_with_both_values_and_publishes_nothing(tmp_path, file, kind):
    wrong = bytes([CONTENT[file][0] ^ 1]) + CONTENT[file][1:]
    with pytest.raises(StoreError, match=rf"{file} has {kind} [0-9a-f]+, the hub lists [0-9a-f]+; deleted it"):
        store_hub.fetch(Shelf(spoil={file: wrong}), tmp_path, REPO, REVISION)
    assert not store.directory(tmp_path, REPO, REVISION).exists()
    assert not (tmp_path / ".staging" / REVISION / file).exists()
    again = Shelf()
    store_hub.fetch(again, tmp_path, REPO, REVISION)
    assert again.sent == list(CONTENT)[list(CONTENT).index(file) :]


def test_a_wrong_length_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"config.json has 3 bytes, the hub lists 2"):
        store_hub.fetch(Shelf(spoil={"config.json": b"{ }"}), tmp_path, REPO, REVISION)


def test_what_is_staged_and_right_is_kept_and_the_rest_thrown_away(tmp_path):
    staged = tmp_path / ".staging" / REVISION
    staged.mkdir(parents=True)
    (staged / "config.json").write_bytes(CONTENT["config.json"])
    (staged / "model.safetensors").write_bytes(b"half")
    (staged / "stray").touch()
    hub = Shelf()
    store_hub.fetch(hub, tmp_path, REPO, REVISION)
    assert hub.sent == ["model.safetensors", "sub/tokens.txt"]
    assert sorted(store.entries(store.directory(tmp_path, REPO, REVISION))) == sorted(CONTENT)


def test_too_little_space_is_met_before_the_download(tmp_path):
    class Huge(Shelf):
        def files(self, repo, revision, chosen):
            return [RemoteFile("model.safetensors", 1 << 60, "0" * 64, "0" * 40)]

    hub = Huge()
    with pytest.raises(StoreError, match=r"GB free, 11529215\d\d\.\d GB are needed"):
        store_hub.fetch(hub, tmp_path, REPO, REVISION)
    assert hub.sent == []


def test_what_a_former_run_downloaded_needs_no_space_again(tmp_path, monkeypatch):
    staged = tmp_path / ".staging" / REVISION
    staged.mkdir(parents=True)
    (staged / "model.safetensors.partial").write_bytes(CONTENT["model.safetensors"][:-100])
    free = shutil.disk_usage(tmp_path)._replace(free=store_hub.MARGIN + 500)
    monkeypatch.setattr(store_hub.shutil, "disk_usage", lambda path: free)
    store_hub.fetch(Shelf(), tmp_path, REPO, REVISION)
    with pytest.raises(StoreError, match="GB are needed"):
        store_hub.fetch(Shelf(), tmp_path, REPO, "f" * 40)


def test_an_empty_revision_is_refused(tmp_path):
    class Empty(Shelf):
        def files(self, repo, revision, chosen):
            return []

    with pytest.raises(StoreError, match="is empty"):
        store_hub.fetch(Empty(), tmp_path, REPO, REVISION)


def test_of_many_quantizations_the_chosen_one_is_stored_and_beside_it_what_is_there(tmp_path):
    hub = Shelf({"a.gguf": b"four", "b.gguf": b"eight bits", "c.gguf": b"none", "template": b"{{ . }}"})
    store_hub.fetch(hub, tmp_path, REPO, REVISION, ["b.gguf"])
    place = store.directory(tmp_path, REPO, REVISION)
    assert sorted(store.entries(place)) == ["b.gguf", "template"]
    assert store.inspect(tmp_path, REPO, REVISION, chosen=["b.gguf"]).damage == []
    assert store.inspect(tmp_path, REPO, REVISION, chosen=["a.gguf"]).damage == ["a.gguf is not published yet"]
    before = (place / "b.gguf").stat().st_ino
    hub.sent.clear()
    store_hub.fetch(hub, tmp_path, REPO, REVISION, ["a.gguf"])
    assert sorted(store.entries(place)) == ["a.gguf", "b.gguf", "template"]
    assert (hub.sent, (place / "b.gguf").stat().st_ino) == (["a.gguf"], before)
    with pytest.raises(StoreError, match="has no d"):
        store_hub.fetch(hub, tmp_path, REPO, REVISION, ["d.gguf"])


@pytest.mark.parametrize(
    ("paths", "kept"),
    [
        (["a.safetensors", "a.bin", "original/a.pth", "config.json"], ["a.safetensors", "config.json"]),
        (["a.bin", "config.json"], ["a.bin", "config.json"]),
        (["a.gguf"], ["a.gguf"]),
    ],
)
def test_weights_are_stored_in_one_format(paths, kept):
    assert [file.path for file in store.served([RemoteFile(path, 1, None, "") for path in paths])] == kept


@pytest.mark.parametrize(
    ("status", "retry_after", "token", "kind", "says"),
    [
        (401, None, False, StoreError, "a token is needed"),
        (401, None, True, StoreError, "the token was refused"),
        (403, None, True, StoreError, "accept the model's licence"),
        (404, None, False, StoreError, "check repo and revision of org/model"),
        (400, None, False, StoreError, "HTTP 400"),
        (429, "7", False, store_hub.Unavailable, "HTTP 429"),
        (503, None, False, store_hub.Unavailable, "HTTP 503"),
    ],
)
def test_what_a_refusal_means(status, retry_after, token, kind, says):
    verdict = store_hub.judge(store_hub.Refused(status, retry_after, "http://hub/x"), REPO, token)
    assert type(verdict) is kind
    assert says in str(verdict)
    assert getattr(verdict, "retry_after", None) == (7.0 if retry_after else None)


class Clock:
    def __init__(self, monkeypatch):
        self.now, self.slept = 0.0, []
        monkeypatch.setattr(store_hub.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(store_hub.time, "sleep", self.sleep)

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def failing(times, retry_after=None):
    left = [store_hub.Unavailable("away", retry_after)] * times

    def action():
        if left:
            raise left.pop()
        return "done"

    return action


def test_an_absent_hub_is_tried_again_with_growing_pauses(monkeypatch):
    clock, log = Clock(monkeypatch), []
    assert store_hub.persist(failing(4), 60, log.append) == "done"
    assert clock.slept == [1, 2, 4, 8]
    assert log[-1] == "away; trying again in 8 s"


def test_a_wish_for_a_pause_is_granted_within_the_budget_only(monkeypatch):
    clock = Clock(monkeypatch)
    assert store_hub.persist(failing(2, 20.0), 60, print) == "done"
    assert clock.slept == [20, 20]
    with pytest.raises(StoreError, match="waiting 3600 s more would exceed the budget of 60 s"):
        store_hub.persist(failing(1, 3600.0), 60, print)
    assert clock.slept == [20, 20]


def test_bytes_that_came_start_the_budget_anew(monkeypatch):
    Clock(monkeypatch)
    count = iter(range(100))
    assert store_hub.persist(failing(9, 50.0), 60, print, lambda: next(count)) == "done"
    with pytest.raises(StoreError):
        store_hub.persist(failing(9, 50.0), 60, print)
