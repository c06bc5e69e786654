# One image for every role: docker run … toolferry api | worker | gateway. TypeScript runs as it is; nothing is compiled.
FROM node:26-slim AS base
WORKDIR /app
COPY package.json package-lock.json .npmrc ./

# The Prisma clients, the workflow bundle and the console are made with the development dependencies, which stay in this stage.
FROM base AS generated
RUN npm ci --ignore-scripts
COPY . .
RUN npm run -s console:build && node scripts/bundle-workflows.ts

FROM base
ENV NODE_ENV=production
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force
COPY src ./src
COPY workflows ./workflows
COPY activities ./activities
COPY prisma ./prisma
COPY --from=generated /app/src/store/generated ./src/store/generated
# Workers start with the workflows bundled; the API serves the console.
COPY --from=generated /app/dist ./dist
RUN mkdir -p /var/lib/toolferry && chown node:node /var/lib/toolferry
ENV TOOLFERRY_HOST=0.0.0.0 TOOLFERRY_PORT=8080 TOOLFERRY_DATA_DIR=/var/lib/toolferry
# What one start has compiled, the next one and every gateway worker read: nearly half of a start is that.
ENV NODE_COMPILE_CACHE=/var/lib/toolferry/compile-cache
USER node
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.TOOLFERRY_PORT + '/readyz').then((r) => { process.exitCode = r.ok ? 0 : 1 }, () => { process.exitCode = 1 })"]
ENTRYPOINT ["node", "src/main.ts"]
CMD ["api"]
