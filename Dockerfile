# One image, one process per role: the command decides (see docker-compose.yml).
FROM python:3.11-slim
RUN useradd --create-home --uid 10001 assay
WORKDIR /assay
COPY requirements-run.lock ./
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements-run.lock
COPY . .
RUN mkdir -m 0700 /data && chown assay /data
USER assay
ENV ASSAY_DATA_DIR=/data PYTHONPATH=/assay
VOLUME /data
EXPOSE 8000
ENTRYPOINT ["python", "-m", "service"]
CMD ["serve", "--host", "0.0.0.0"]
