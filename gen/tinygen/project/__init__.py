# SPDX-License-Identifier: Apache-2.0
"""Plan + sources + template -> a folder (cookiecutter)."""

from tinygen.project.create import MANIFEST, create_project, require_free
from tinygen.project.promise import promise, random_samples

__all__ = ["MANIFEST", "create_project", "promise", "random_samples", "require_free"]
