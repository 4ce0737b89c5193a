# The image in which Mozart's steps run on a cluster: slim, not root, every dependency as locked.
#
#   docker build -t mozart-python:0.1.0 .
#   docker build -t mozart-python:0.1.0-gpu --build-arg EXTRAS="gpu s3" .
#
# EXTRAS are those of pyproject.toml. Give pods the digest that `docker push` prints: a tag can be moved.
FROM python:3.11.13-slim-bookworm AS build
ARG EXTRAS="s3"
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never \
    UV_PROJECT_ENVIRONMENT=/opt/mozart
WORKDIR /src
RUN pip install --no-cache-dir uv==0.13.8
# The lock alone first: the dependencies are a layer that changes of the code leave as it is.
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN set --; for extra in $EXTRAS; do set -- "$@" --extra "$extra"; done; \
    uv sync --locked --no-dev --no-cache --no-install-project "$@"
COPY keras_models keras_models
COPY components components
COPY pipelines pipelines
RUN set --; for extra in $EXTRAS; do set -- "$@" --extra "$extra"; done; \
    uv sync --locked --no-dev --no-cache --no-editable "$@"

FROM python:3.11.13-slim-bookworm
RUN groupadd --gid 1000 mozart && useradd --uid 1000 --gid 1000 --create-home mozart
COPY --from=build /opt/mozart /opt/mozart
# MOZART_HOME is replaced by the volume of resources.workspace; without one it ends with the pod.
ENV PATH=/opt/mozart/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MLFLOW_DISABLE_TELEMETRY=true \
    MOZART_HOME=/tmp/mozart
WORKDIR /home/mozart
USER 1000:1000
CMD ["mozart", "--help"]
