"""The processes of one instance, the embedded Redis among them: started, watched and stopped together."""

__all__ = [
    "commands",
    "embedded_redis",
    "flower_login",
    "instance_lock",
    "launcher",
    "processes",
    "stop_signals",
    "supervisor",
]
