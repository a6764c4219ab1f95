# The Prometheus exporter of wtmpdb in a container: docs/monitoring.md says what to mount, and how to run it.
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
COPY . /src
WORKDIR /src
# Of what the package can need only what the exporter does: no SQLAlchemy, no Alembic. The pip of the image puts it there.
RUN python -m venv --without-pip /opt/wtmpdb \
    && python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['exporter'], sep='\n')" \
        >/tmp/requirements.txt \
    && python -m pip --python /opt/wtmpdb install --no-cache-dir --disable-pip-version-check --no-deps . \
    && python -m pip --python /opt/wtmpdb install --no-cache-dir --disable-pip-version-check --requirement /tmp/requirements.txt \
    && /opt/wtmpdb/bin/python -m compileall -q /opt/wtmpdb/lib

FROM python:${PYTHON}-slim
LABEL org.opencontainers.image.title="wtmpdb exporter" \
    org.opencontainers.image.description="The login history of a machine as Prometheus metrics" \
    org.opencontainers.image.licenses="BSD-2-Clause"
COPY --from=build /opt/wtmpdb /opt/wtmpdb
ENV PATH=/opt/wtmpdb/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# A number, so that what runs it can see that it is not root.
USER 43210:43210
EXPOSE 20380
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-c", "\
import http.client; one = http.client.HTTPConnection('127.0.0.1', 20380, timeout=4); one.request('GET', '/-/healthy'); \
raise SystemExit(one.getresponse().status != 200)"]
ENTRYPOINT ["wtmpdb", "exporter"]
CMD ["--web.listen-address=:20380"]
