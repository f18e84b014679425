"""The services that the image can run."""

from __future__ import annotations

from botdemo.roles.base import Role
from botdemo.roles.kong import Kong
from botdemo.roles.nextjs_ui_dashboard import NextjsUiDashboard
from botdemo.roles.notification_sink import NotificationSink
from botdemo.roles.python_ai_service import PythonAiService
from botdemo.roles.rust_core_engine import RustCoreEngine

_ROLES: tuple[type[Role], ...] = (
    RustCoreEngine,
    PythonAiService,
    NextjsUiDashboard,
    Kong,
    NotificationSink,
)

ROLES = {role.name: role for role in _ROLES}
"""Every role by the name of its service."""
