"""C#, Scala and MATLAB read the injected cell and hold the values that were given.

Their kernels run the same literals. C# and Scala are compiled by Debian's mono-mcs and scala, MATLAB is run by Octave.
"""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from parameter_values import AWKWARD, EDGES, any_inside, integers, same, texts, translate, values
from support.needs import missing

# A compiler takes seconds: it is given many values at once, and not those that Hypothesis tries first, the simplest.
once = settings(max_examples=1, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
# mono rounds decimals below the smallest normal double wrongly; .NET's own compiler does not.
normal = st.none() | st.booleans() | integers | texts | st.floats(allow_subnormal=False)
FLOATS = [0.1, -0.0, 1e-300, 1.5e300, 1e16, float("nan"), float("inf"), -float("inf")]
EXAMPLES: list[Any] = [*EDGES, *FLOATS, *AWKWARD, AWKWARD, *(one + "0aF" for one in AWKWARD), True, False, None]
EXAMPLES += ["\\u0041", "\\\\u0041", "$x ${x}", [], {}, [[]], [{}], [None], [1, 2.5], [2**60 + 1, 0.5], [True, 2]]
EXAMPLES += [[1, 2**31], [1, 2**70], ["a", "b"], {"": None, "a\n": [1]}, {"a": 1, "A": {"b": "c"}}, (1, (2,))]

CSHARP = """
using System; using System.Collections; using System.Collections.Generic; using System.Linq;
class Program {
  static string Hex(string s) { return string.Concat(s.Select(c => ((int)c).ToString("x4"))); }
  static string Dump(object x) {
    if (x == null) return "null";
    if (x is bool) return (bool)x ? "true" : "false";
    if (x is string) return "[\\"text\\",\\"" + Hex((string)x) + "\\"]";
    if (x is double) return "[\\"double\\",\\"" + BitConverter.DoubleToInt64Bits((double)x).ToString("x16") + "\\"]";
    if (x is IDictionary<string, object>) return "{" + string.Join(",",
      ((IDictionary<string, object>)x).Select(p => "\\"" + Hex(p.Key) + "\\":" + Dump(p.Value))) + "}";
    if (x is IEnumerable) return "[" + string.Join(",", ((IEnumerable)x).Cast<object>().Select(Dump)) + "]";
    return x.ToString();
  }
  static void Main() {
%s
  }
}
"""
SCALA = """
object Program {
  def hex(s: String): String = s.map(c => "%%04x".format(c.toInt)).mkString
  def dump(x: Any): String = x match {
    case None => "null"
    case b: Boolean => b.toString
    case s: String => "[\\"text\\",\\"" + hex(s) + "\\"]"
    case d: Double => "[\\"double\\",\\"" + "%%016x".format(java.lang.Double.doubleToLongBits(d)) + "\\"]"
    case m: Map[_, _] => m.map { case (k, v) => "\\"" + hex(k.toString) + "\\":" + dump(v) }.mkString("{", ",", "}")
    case s: Seq[_] => s.map(dump).mkString("[", ",", "]")
    case other => other.toString
  }
%s
  def main(args: Array[String]): Unit = {
%s
  }
}
"""


MATLAB = """
1;
function text = written(x)
  if iscell(x)
    text = ['[' strjoin(cellfun(@written, x, 'UniformOutput', false), ',') ']'];
  elseif isa(x, 'containers.Map')
    pairs = cellfun(@(key) ['"' hexed(key) '":' written(x(key))], x.keys(), 'UniformOutput', false);
    text = ['{' strjoin(pairs, ',') '}'];
  elseif ischar(x)
    text = ['["text","' hexed(x) '"]'];
  elseif isempty(x)
    text = 'null';
  elseif islogical(x)
    text = {'false', 'true'}{x + 1};
  else
    text = ['["double","' num2hex(x) '"]'];
  end
end
function text = hexed(x)
  text = lower(reshape(dec2hex(double(unicode2native(x, 'utf-16be')), 2)', 1, []));
end
%s
%s
"""


def are_varied(held: list[Any]) -> bool:
    return len(set(map(repr, held))) > len(held) / 2


def compiled(held: dict[str, Any], language: str, folder: Path) -> dict[str, Any]:
    lines = {"csharp": run_csharp, "scala": run_scala, "matlab": run_matlab}[language](held, folder)
    return {name: undumped(json.loads(line)) for name, line in zip(held, lines, strict=True)}


def run_csharp(held: dict[str, Any], folder: Path) -> list[str]:
    body = translate(held, "csharp")
    body += "".join(f"Console.WriteLine(Dump({name}));\n" for name in held)
    (folder / "cell.cs").write_text(CSHARP % body)
    run(["mcs", "-warn:0", "-r:System.Numerics.dll", "-out:cell.exe", "cell.cs"], folder)
    return run(["mono", "cell.exe"], folder).splitlines()


def run_scala(held: dict[str, Any], folder: Path) -> list[str]:
    """Every value in an object of its own, because a method of the JVM holds 64 KiB of code."""
    objects = "".join(
        f"object o{name} {{ {translate({name: value}, 'scala').split(chr(10))[1]} }}\n" for name, value in held.items()
    )
    shows = "".join(f"println(dump(o{name}.{name}))\n" for name in held)
    (folder / "cell.scala").write_text(SCALA % (objects, shows))
    run(["scalac", "-nowarn", "-d", ".", "cell.scala"], folder)
    return run(["scala", "-cp", ".", "Program"], folder).splitlines()


def run_matlab(held: dict[str, Any], folder: Path) -> list[str]:
    shows = "".join(f"disp(written({name}))\n" for name in held)
    (folder / "cell.m").write_text(MATLAB % (translate(held, "matlab"), shows))
    return run(["octave-cli", "--quiet", "--no-init-file", "cell.m"], folder).splitlines()


def octave_can_hold(value: Any) -> bool:
    """Octave's text is bytes: it has no codes beyond them. Its maps have no empty key."""

    def beyond(one: Any) -> bool:
        if isinstance(one, str):
            return any(character > "\x7f" and not character.isprintable() for character in one)
        return (isinstance(one, dict) and "" in one) or (isinstance(one, int) and abs(one) > 2**53)

    return not any_inside(value, beyond)


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


def undumped(value: Any) -> Any:
    match value:
        case ["double", str(bits)]:
            return struct.unpack(">d", bytes.fromhex(bits))[0]
        case ["text", str(units)]:
            return text_of(units)
        case list():
            return list(map(undumped, value))
        case dict():
            return {text_of(key): undumped(value[key]) for key in sorted(value)}
    return value


def text_of(units: str) -> str:
    return bytes.fromhex(units).decode("utf-16-be")


def form(value: Any) -> Any:
    """A value as it is dumped: keys in the order of their UTF-16 units, tuples as lists."""
    if isinstance(value, dict):
        return {key: form(value[key]) for key in sorted(value, key=lambda key: key.encode("utf-16-be"))}
    return list(map(form, value)) if isinstance(value, (list, tuple)) else value


def check(held: list[Any], language: str, folder: Path) -> None:
    tool = {"csharp": "mcs", "scala": "scalac", "matlab": "octave-cli"}[language]
    if shutil.which(tool) is None:
        missing(tool, f"{tool} is not installed (Debian packages mono-mcs, scala, octave)")
    named = {f"v{index}": value for index, value in enumerate(held)}
    found = compiled(named, language, folder)
    seen = doubled if language == "matlab" else form
    wrong = {name: (value, found[name]) for name, value in named.items() if not same(found[name], seen(form(value)))}
    assert not wrong


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("language", ["csharp", "scala"])
@once
@given(held=st.lists(values(normal), min_size=40, max_size=80).filter(are_varied))
def test_edges_and_any_json_value_are_held(language: str, held: list[Any], tmp_path: Path) -> None:
    check(EXAMPLES + held, language, tmp_path)


@pytest.mark.fault(35)
@once
@given(held=st.lists(values(), min_size=40, max_size=80).filter(are_varied))
def test_matlab_holds_edges_and_any_json_value(held: list[Any], tmp_path: Path) -> None:
    """Every number is a double there."""
    for wanted in (EXAMPLES, held):
        assert sum(map(octave_can_hold, wanted)) > len(wanted) / 4
    check([value for value in EXAMPLES + held if octave_can_hold(value)], "matlab", tmp_path)


def doubled(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return list(map(doubled, value))
    if isinstance(value, dict):
        return {key: doubled(item) for key, item in value.items()}
    return float(value) if type(value) is int else value
