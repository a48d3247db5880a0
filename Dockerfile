# One bot in one container. Mount a folder with driftcatcher.toml, its inboxes and its home at /data, and pass
# SLACK_BOT_TOKEN and SLACK_APP_TOKEN from the environment:
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" -e SLACK_BOT_TOKEN -e SLACK_APP_TOKEN driftcatcher
# In HTTP mode set host = "0.0.0.0" in driftcatcher.toml and publish the port.
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /venv
COPY requirements.lock ./
RUN /venv/bin/pip install --no-cache-dir -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY bot bot
COPY detectors detectors
COPY trainers trainers
COPY state state
RUN /venv/bin/pip install --no-cache-dir --no-deps .

FROM python:3.13-slim
# scikit-learn's wheels use OpenMP of their own; nothing else of the system is needed.
RUN useradd --create-home --uid 10001 driftcatcher
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 MLFLOW_DISABLE_TELEMETRY=true MPLCONFIGDIR=/tmp/matplotlib
USER driftcatcher
WORKDIR /data
ENTRYPOINT ["driftcatcher"]
CMD ["serve"]
