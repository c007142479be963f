"""Which tasks tests have run, counted on a toy role and playbook."""

import json
from pathlib import Path

import yaml

from tests import coverage

TASKS = """---
- name: Chapter
  ansible.builtin.import_tasks: other.yml

- name: Try
  block:
    - name: One {{ of_many }}
      ansible.builtin.ping:
  rescue:
    - name: Two
      ansible.builtin.ping:
"""
PLAYBOOK = """---
- name: Play
  hosts: all
  tasks:
    - name: Three
      ansible.builtin.ping:
"""


def test_a_task_counts_that_was_run_on_some_host(tmp_path: Path) -> None:
    for path, text in {"roles/toy/tasks/main.yml": TASKS, "playbooks/toy.yml": PLAYBOOK}.items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    record = tmp_path / "record.jsonl"
    entries = [
        {"playbook": "playbooks/toy.yml", "check": False},
        {"task": "roles/toy/tasks/main.yml:7", "name": "One 2", "host": "a", "outcome": "skipped"},
        {"task": "roles/toy/tasks/main.yml:7", "name": "One 3", "host": "b", "outcome": "ok"},
        {"task": "roles/toy/tasks/main.yml:10", "name": "Two", "host": "b", "outcome": "skipped"},
        {"task": "roles/toy/tasks/main.yml:10", "name": "Another that stood there", "host": "b", "outcome": "ok"},
        {"task": "playbooks/toy.yml:9", "name": "Three", "host": "b", "outcome": "failed"},
    ]
    record.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    parts = coverage.result(coverage.tasks(tmp_path), coverage.ran(record))
    assert parts == {
        "playbooks": {"tasks": 1, "covered": 1, "missed": []},
        "toy": {"tasks": 2, "covered": 1, "missed": ["roles/toy/tasks/main.yml: Two"]},
    }
    assert round(coverage.share(parts), 1) == 66.7


NEWER = 10  # tasks that may have come since


def test_what_was_measured_is_enough_and_of_todays_tasks() -> None:
    measured = yaml.safe_load(coverage.RESULT.read_text())["parts"]
    missed = {task for part in measured.values() for task in part["missed"]}
    today = coverage.tasks(coverage.ROOT)
    assert coverage.share(measured) >= coverage.LEAST
    assert missed <= set(today), "docs/measured/coverage.yml lists tasks that are gone: run `make coverage` after the tests"
    assert len(today) - sum(part["tasks"] for part in measured.values()) <= NEWER, "run `make coverage` after the tests"
