"""Print the path of one Maven artifact; run by the interpreter of the jobs environment, which has jgo."""

import sys

from jgo.maven import MavenContext


def main() -> None:
    """Fetch `group name version packaging` unless the local Maven repository has it."""
    group, name, version, packaging = sys.argv[1:]
    component = MavenContext(timeout=600).project(group, name).at_version(version)
    print(component.artifact(packaging=packaging).resolve())


if __name__ == "__main__":
    main()
