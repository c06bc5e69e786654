# One image for every role: docker run … toolferry api | worker | gateway. TypeScript runs as it is; nothing is compiled ahead but V8's cache.
FROM node:26-slim AS made
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
# Of the packages what the roles run on.
COPY scripts/runtime-packages.ts ./scripts/
RUN node scripts/runtime-packages.ts /runtime
# The Prisma clients, the console and the workflow bundle.
COPY . .
RUN npm run -s console:build && node scripts/bundle-workflows.ts
# Compiling is a third of a start and more. The cache is good for these paths and this user only.
RUN mkdir /compile-cache && chown node /compile-cache
USER node
RUN NODE_COMPILE_CACHE=/compile-cache node scripts/load-roles.ts

FROM node:26-slim
WORKDIR /app
COPY --from=made /runtime/node_modules ./node_modules
COPY package.json ./
COPY prisma ./prisma
COPY workflows ./workflows
COPY activities ./activities
COPY src ./src
COPY --from=made /app/src/store/generated ./src/store/generated
# Workers start with the workflows bundled; the API serves the console.
COPY --from=made /app/dist ./dist
COPY --from=made /compile-cache ./compile-cache
RUN mkdir /var/lib/toolferry && chown node:node /var/lib/toolferry
ENV NODE_ENV=production NODE_COMPILE_CACHE=/app/compile-cache \
  TOOLFERRY_HOST=0.0.0.0 TOOLFERRY_PORT=8080 TOOLFERRY_DATA_DIR=/var/lib/toolferry
USER node
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.TOOLFERRY_PORT + '/readyz').then((r) => { process.exitCode = r.ok ? 0 : 1 }, () => { process.exitCode = 1 })"]
ENTRYPOINT ["node", "src/main.ts"]
CMD ["api"]
