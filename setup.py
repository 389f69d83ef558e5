"""Everything is in pyproject.toml but this: a wheel that carries the supervisor, a static Linux
program, is for machines of this kind. Without it (nobody ran `make setup`) a wheel is for all."""

from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel

SUPERVISOR = Path(__file__).parent / "sandbox" / "supervisor" / "bin" / "xq"


class KitWheel(bdist_wheel):
    def finalize_options(self) -> None:
        super().finalize_options()
        self.root_is_pure = not SUPERVISOR.exists()

    def get_tag(self) -> tuple[str, str, str]:
        _, _, platform = super().get_tag()
        return "py3", "none", platform


setup(cmdclass={"bdist_wheel": KitWheel})
