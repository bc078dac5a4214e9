"""Connects to the daemons that rule the machine: Docker, containerd, systemd, D-Bus.

Expect: contained
"""

import socket

for path in (
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/systemd/private",
    "/run/dbus/system_bus_socket",
    "/run/podman/podman.sock",
    "/run/user/0/bus",
    "/run/user/1000/bus",
    "/tmp/.X11-unix/X0",
    "/run/snapd.socket",
):
    try:
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(path)
            print("ESCAPED: can reach", path, flush=True)
    except OSError:
        pass
