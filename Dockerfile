# One image for every Trunkline process; docker-compose.yml says which one a container runs.

FROM python:3.11.11-slim-bookworm AS build
# For dependencies that have no wheel for the machine's architecture.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/trunkline
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY config config
COPY recovery recovery
COPY banking banking
COPY tasks tasks
COPY workers workers
COPY rpc rpc
COPY oracle oracle
COPY pytest_trunkline pytest_trunkline
RUN /opt/trunkline/bin/pip install --no-cache-dir -c constraints.txt .
# What lacks a dependency must fail here, not when a container starts. From a folder without our sources.
WORKDIR /
RUN /opt/trunkline/bin/trunkline --version \
    && /opt/trunkline/bin/python -c 'import workers.app, rpc.node, flower.command, kombu.transport.redis'

FROM python:3.11.11-slim-bookworm
# Fixed numbers, so that a host can grant them access to a mounted folder. New volumes get the folders' owner.
RUN groupadd --system --gid 10001 trunkline \
    && useradd --system --uid 10001 --gid 10001 --home-dir /app --create-home trunkline \
    && install --directory --owner trunkline --group trunkline --mode 0700 /data /archive
COPY --from=build /opt/trunkline /opt/trunkline
ENV PATH=/opt/trunkline/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TRUNKLINE_DATA_DIR=/data
# By number: Kubernetes cannot tell from a name that it is not root.
USER 10001
# Empty: Celery imports from the working folder first, and must find the installed packages.
WORKDIR /app
CMD ["celery", "--app", "workers.app", "worker", "--queues", "transactions"]
