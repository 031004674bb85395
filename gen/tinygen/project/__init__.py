# SPDX-License-Identifier: Apache-2.0
"""Plan + sources + template -> a folder (cookiecutter)."""

from tinygen.project.create import create_project, require_free
from tinygen.project.manifest import MANIFEST
from tinygen.project.new import Created, Request, load_graph, new_project
from tinygen.project.planned import Planned, plan_model
from tinygen.project.promise import promise, random_samples
from tinygen.project.update import Updated, update_project

__all__ = [
    "MANIFEST",
    "Created",
    "Planned",
    "Request",
    "Updated",
    "create_project",
    "load_graph",
    "new_project",
    "plan_model",
    "promise",
    "random_samples",
    "require_free",
    "update_project",
]
