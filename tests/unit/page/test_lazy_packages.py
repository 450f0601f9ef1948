"""Packages that gather names: imported without what nobody uses, and whole where that cannot be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from nbstep_runner.page.lazy_packages import lazily, stand_in

GATHERS = '''"""Gathers."""
from ._version import __version__
try:
    from . import heavy, inner
    from .inner import used as known_as
except ModuleNotFoundError:
    pass
__all__ = ["known_as"]
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package ``gathers`` with a package ``inner``, and modules ``heavy`` in both that cannot be imported."""
    inner = tmp_path / "gathers/inner"
    inner.mkdir(parents=True)
    (inner.parent / "__init__.py").write_text(GATHERS)
    (inner.parent / "_version.py").write_text("__version__ = '1'")
    (inner.parent / "heavy.py").write_text("raise ValueError('heavy is imported')")
    (inner / "__init__.py").write_text("from .heavy import too_much\nfrom .light import used\n")
    (inner / "heavy.py").write_text("raise ValueError('inner.heavy is imported')")
    (inner / "light.py").write_text("used = 'used'")
    monkeypatch.syspath_prepend(tmp_path)
    yield inner.parent
    for name in [name for name in sys.modules if name.split(".")[0] == "gathers"]:
        del sys.modules[name]


def test_what_nobody_uses_is_not_imported(package: Path) -> None:
    with lazily("gathers", "inner"):
        gathers = import_module("gathers")
        assert (gathers.known_as, gathers.__version__) == ("used", "1")
        assert gathers.inner is import_module("gathers.inner")
        with pytest.raises(AttributeError, match="module 'gathers' has no attribute 'nothing'"):
            _ = gathers.nothing
    assert not any(name.endswith("heavy") for name in sys.modules if name.startswith("gathers"))
    with pytest.raises(ValueError, match=r"inner\.heavy is imported"):
        _ = gathers.inner.too_much
    assert package.exists()


def test_a_package_that_does_more_is_imported_whole(package: Path) -> None:
    (package / "__init__.py").write_text("registry = {}\n")
    with pytest.raises(ImportError, match=r"more than gather names: registry = \{\}"), lazily("gathers", "inner"):
        pass
    assert import_module("gathers").registry == {}


def test_where_the_first_use_fails_it_is_imported_whole(package: Path) -> None:
    with pytest.raises(RuntimeError), lazily("gathers", "inner"):  # noqa: PT012 - what the context does at an error
        import_module("gathers.inner.light")
        raise RuntimeError("another version")
    assert not [name for name in sys.modules if name.startswith("gathers")]
    with pytest.raises(ValueError, match="heavy is imported"):
        import_module("gathers")
    assert package.exists()


def test_what_is_imported_already_stays(package: Path) -> None:
    (package / "__init__.py").write_text("whole = True\n")
    whole = import_module("gathers")
    with lazily("gathers", "inner"):
        assert import_module("gathers") is whole


def test_a_missing_package_is_no_module(package: Path) -> None:
    with pytest.raises(ImportError, match="no package named 'gathers_nothing'"), lazily("gathers_nothing"):
        pass
    assert package.exists()


def test_a_module_stands_in_for_the_one_that_repeats_it(package: Path) -> None:
    stand_in("gathers_nothing", for_name="gathers.heavy")
    assert "gathers.heavy" not in sys.modules
    stand_in("json", for_name="gathers.heavy")
    assert sys.modules["gathers.heavy"] is sys.modules["json"]
    assert package.exists()
