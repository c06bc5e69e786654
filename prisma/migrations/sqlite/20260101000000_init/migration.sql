-- CreateTable
CREATE TABLE "Platform" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "kind" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "remoteKey" TEXT NOT NULL,
    "settings" TEXT NOT NULL,
    "sealedCredential" TEXT,
    "credentialState" TEXT NOT NULL,
    "credentialVersion" INTEGER NOT NULL DEFAULT 0,
    "credentialExpiresAt" DATETIME,
    "gatewayUrl" TEXT,
    "limits" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "rowVersion" INTEGER NOT NULL DEFAULT 1,
    "checkedAt" DATETIME,
    "createdAt" DATETIME NOT NULL,
    "updatedAt" DATETIME NOT NULL
);

-- CreateTable
CREATE TABLE "McpInstance" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "name" TEXT NOT NULL,
    "description" TEXT NOT NULL,
    "transport" TEXT NOT NULL,
    "url" TEXT NOT NULL,
    "sealedHeaders" TEXT,
    "sealedDefaultPassThrough" TEXT,
    "accessMode" TEXT NOT NULL,
    "forwardAuthorization" BOOLEAN NOT NULL DEFAULT false,
    "limits" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "lastProbe" TEXT,
    "rowVersion" INTEGER NOT NULL DEFAULT 1,
    "revision" INTEGER NOT NULL DEFAULT 0,
    "createdAt" DATETIME NOT NULL,
    "updatedAt" DATETIME NOT NULL
);

-- CreateTable
CREATE TABLE "ToolSnapshot" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "instanceId" TEXT NOT NULL,
    "headerDigest" TEXT NOT NULL,
    "tools" TEXT NOT NULL,
    "toolCount" INTEGER NOT NULL,
    "hash" TEXT NOT NULL,
    "seenAt" DATETIME NOT NULL
);

-- CreateTable
CREATE TABLE "Space" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "platformId" TEXT NOT NULL,
    "remoteId" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "ownerName" TEXT,
    "ownerEmail" TEXT,
    "role" TEXT,
    "archived" BOOLEAN NOT NULL DEFAULT false,
    "problem" TEXT,
    "seenAt" DATETIME NOT NULL,
    "createdAt" DATETIME NOT NULL,
    "updatedAt" DATETIME NOT NULL
);

-- CreateTable
CREATE TABLE "Binding" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "instanceId" TEXT NOT NULL,
    "spaceId" TEXT NOT NULL,
    "enabled" BOOLEAN NOT NULL DEFAULT true,
    "expiresAt" DATETIME,
    "sealedPassThrough" TEXT,
    "toolAllowList" TEXT,
    "tags" TEXT NOT NULL,
    "rowVersion" INTEGER NOT NULL DEFAULT 1,
    "revision" INTEGER NOT NULL DEFAULT 0,
    "createdAt" DATETIME NOT NULL,
    "updatedAt" DATETIME NOT NULL
);

-- CreateTable
CREATE TABLE "Deployment" (
    "bindingId" TEXT NOT NULL PRIMARY KEY,
    "platformId" TEXT NOT NULL,
    "spaceId" TEXT NOT NULL,
    "instanceId" TEXT NOT NULL,
    "remoteId" TEXT,
    "remoteKey" TEXT,
    "state" TEXT NOT NULL,
    "ownership" TEXT,
    "digests" TEXT,
    "applied" TEXT,
    "checkpoint" TEXT,
    "driftFields" TEXT,
    "driftSince" DATETIME,
    "lastErrorType" TEXT,
    "lastErrorMessage" TEXT,
    "lastSyncId" TEXT,
    "appliedAt" DATETIME,
    "verifiedAt" DATETIME,
    "createdAt" DATETIME NOT NULL,
    "updatedAt" DATETIME NOT NULL
);

-- CreateTable
CREATE TABLE "GatewayToken" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "instanceId" TEXT NOT NULL,
    "bindingId" TEXT,
    "name" TEXT,
    "lookupHash" TEXT NOT NULL,
    "start" TEXT NOT NULL,
    "sealedToken" TEXT NOT NULL,
    "sealedHeaders" TEXT,
    "origin" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "provenAt" DATETIME,
    "expiresAt" DATETIME,
    "lastUsedAt" DATETIME,
    "revision" INTEGER NOT NULL DEFAULT 0,
    "createdAt" DATETIME NOT NULL,
    "revokedAt" DATETIME
);

-- CreateTable
CREATE TABLE "Sync" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "platformId" TEXT NOT NULL,
    "profileId" TEXT,
    "name" TEXT NOT NULL,
    "action" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "phase" TEXT NOT NULL,
    "selection" TEXT NOT NULL,
    "sealedAuthorizations" TEXT,
    "writePolicy" TEXT NOT NULL,
    "dryRun" BOOLEAN NOT NULL DEFAULT false,
    "acceptWarnings" BOOLEAN NOT NULL DEFAULT false,
    "retryOf" TEXT,
    "planOf" TEXT,
    "workflowId" TEXT NOT NULL,
    "runId" TEXT,
    "counts" TEXT NOT NULL,
    "warnings" TEXT NOT NULL,
    "errorType" TEXT,
    "errorMessage" TEXT,
    "pauseRequested" BOOLEAN NOT NULL DEFAULT false,
    "cancelRequested" BOOLEAN NOT NULL DEFAULT false,
    "requestedBy" TEXT NOT NULL,
    "eventSeq" INTEGER NOT NULL DEFAULT 0,
    "createdAt" DATETIME NOT NULL,
    "startedAt" DATETIME,
    "finishedAt" DATETIME
);

-- CreateTable
CREATE TABLE "SyncTarget" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "syncId" TEXT NOT NULL,
    "spaceId" TEXT NOT NULL,
    "instanceId" TEXT NOT NULL,
    "bindingId" TEXT,
    "action" TEXT,
    "state" TEXT NOT NULL,
    "changes" TEXT,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "errorType" TEXT,
    "errorMessage" TEXT,
    "note" TEXT,
    "startedAt" DATETIME,
    "finishedAt" DATETIME,
    "updatedAt" DATETIME NOT NULL
);

-- CreateTable
CREATE TABLE "SyncEvent" (
    "syncId" TEXT NOT NULL,
    "seq" INTEGER NOT NULL,
    "type" TEXT NOT NULL,
    "data" TEXT NOT NULL,
    "at" DATETIME NOT NULL,

    PRIMARY KEY ("syncId", "seq")
);

-- CreateTable
CREATE TABLE "SyncProfile" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "platformId" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "selection" TEXT NOT NULL,
    "writePolicy" TEXT NOT NULL,
    "driftPolicy" TEXT NOT NULL,
    "schedule" TEXT,
    "paused" BOOLEAN NOT NULL DEFAULT false,
    "pauseReason" TEXT,
    "rowVersion" INTEGER NOT NULL DEFAULT 1,
    "createdAt" DATETIME NOT NULL,
    "updatedAt" DATETIME NOT NULL
);

-- CreateTable
CREATE TABLE "ApiKey" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "name" TEXT NOT NULL,
    "lookupHash" TEXT NOT NULL,
    "start" TEXT NOT NULL,
    "role" TEXT NOT NULL,
    "expiresAt" DATETIME,
    "lastUsedAt" DATETIME,
    "revokedAt" DATETIME,
    "createdAt" DATETIME NOT NULL
);

-- CreateTable
CREATE TABLE "ConsoleSession" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "lookupHash" TEXT NOT NULL,
    "apiKeyId" TEXT,
    "role" TEXT NOT NULL,
    "expiresAt" DATETIME NOT NULL,
    "createdAt" DATETIME NOT NULL
);

-- CreateTable
CREATE TABLE "AuditEvent" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "at" DATETIME NOT NULL,
    "actor" TEXT NOT NULL,
    "actorId" TEXT,
    "action" TEXT NOT NULL,
    "resource" TEXT NOT NULL,
    "resourceId" TEXT,
    "fields" TEXT NOT NULL,
    "outcome" TEXT NOT NULL,
    "requestId" TEXT
);

-- CreateTable
CREATE TABLE "GatewayLogEntry" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "at" DATETIME NOT NULL,
    "instanceId" TEXT NOT NULL,
    "bindingId" TEXT,
    "tokenId" TEXT,
    "method" TEXT NOT NULL,
    "toolName" TEXT,
    "status" INTEGER NOT NULL,
    "errorCode" TEXT,
    "requestBytes" INTEGER NOT NULL,
    "responseBytes" INTEGER NOT NULL,
    "durationMs" INTEGER NOT NULL,
    "traceId" TEXT NOT NULL
);

-- CreateTable
CREATE TABLE "SpaceLease" (
    "spaceId" TEXT NOT NULL PRIMARY KEY,
    "holder" TEXT NOT NULL,
    "epoch" INTEGER NOT NULL,
    "until" DATETIME NOT NULL
);

-- CreateTable
CREATE TABLE "CallBudget" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "nextAt" DATETIME NOT NULL,
    "updatedAt" DATETIME NOT NULL
);

-- CreateTable
CREATE TABLE "GatewayReplica" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "seenRevision" INTEGER NOT NULL,
    "at" DATETIME NOT NULL
);

-- CreateTable
CREATE TABLE "Webhook" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "name" TEXT NOT NULL,
    "sealedUrl" TEXT NOT NULL,
    "sealedSecrets" TEXT NOT NULL,
    "events" TEXT NOT NULL,
    "enabled" BOOLEAN NOT NULL DEFAULT true,
    "createdAt" DATETIME NOT NULL,
    "updatedAt" DATETIME NOT NULL
);

-- CreateTable
CREATE TABLE "IdempotencyKey" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "requestHash" TEXT NOT NULL,
    "syncId" TEXT NOT NULL,
    "createdAt" DATETIME NOT NULL
);

-- CreateTable
CREATE TABLE "Revision" (
    "id" INTEGER NOT NULL PRIMARY KEY,
    "value" INTEGER NOT NULL
);

-- CreateTable
CREATE TABLE "Setting" (
    "name" TEXT NOT NULL PRIMARY KEY,
    "value" TEXT NOT NULL,
    "updatedAt" DATETIME NOT NULL
);

-- CreateIndex
CREATE UNIQUE INDEX "Platform_name_key" ON "Platform"("name");

-- CreateIndex
CREATE UNIQUE INDEX "Platform_remoteKey_key" ON "Platform"("remoteKey");

-- CreateIndex
CREATE INDEX "McpInstance_revision_idx" ON "McpInstance"("revision");

-- CreateIndex
CREATE UNIQUE INDEX "McpInstance_name_key" ON "McpInstance"("name");

-- CreateIndex
CREATE UNIQUE INDEX "ToolSnapshot_instanceId_headerDigest_key" ON "ToolSnapshot"("instanceId", "headerDigest");

-- CreateIndex
CREATE UNIQUE INDEX "Space_platformId_remoteId_key" ON "Space"("platformId", "remoteId");

-- CreateIndex
CREATE INDEX "Binding_spaceId_idx" ON "Binding"("spaceId");

-- CreateIndex
CREATE INDEX "Binding_revision_idx" ON "Binding"("revision");

-- CreateIndex
CREATE UNIQUE INDEX "Binding_instanceId_spaceId_key" ON "Binding"("instanceId", "spaceId");

-- CreateIndex
CREATE INDEX "Deployment_platformId_state_idx" ON "Deployment"("platformId", "state");

-- CreateIndex
CREATE INDEX "Deployment_spaceId_idx" ON "Deployment"("spaceId");

-- CreateIndex
CREATE INDEX "Deployment_instanceId_idx" ON "Deployment"("instanceId");

-- CreateIndex
CREATE INDEX "GatewayToken_bindingId_idx" ON "GatewayToken"("bindingId");

-- CreateIndex
CREATE INDEX "GatewayToken_instanceId_idx" ON "GatewayToken"("instanceId");

-- CreateIndex
CREATE INDEX "GatewayToken_revision_idx" ON "GatewayToken"("revision");

-- CreateIndex
CREATE UNIQUE INDEX "GatewayToken_lookupHash_key" ON "GatewayToken"("lookupHash");

-- CreateIndex
CREATE INDEX "Sync_state_idx" ON "Sync"("state");

-- CreateIndex
CREATE INDEX "Sync_platformId_idx" ON "Sync"("platformId");

-- CreateIndex
CREATE INDEX "Sync_createdAt_idx" ON "Sync"("createdAt");

-- CreateIndex
CREATE UNIQUE INDEX "Sync_workflowId_key" ON "Sync"("workflowId");

-- CreateIndex
CREATE INDEX "SyncTarget_syncId_state_idx" ON "SyncTarget"("syncId", "state");

-- CreateIndex
CREATE UNIQUE INDEX "SyncTarget_syncId_spaceId_instanceId_key" ON "SyncTarget"("syncId", "spaceId", "instanceId");

-- CreateIndex
CREATE INDEX "SyncProfile_platformId_idx" ON "SyncProfile"("platformId");

-- CreateIndex
CREATE UNIQUE INDEX "SyncProfile_name_key" ON "SyncProfile"("name");

-- CreateIndex
CREATE UNIQUE INDEX "ApiKey_lookupHash_key" ON "ApiKey"("lookupHash");

-- CreateIndex
CREATE UNIQUE INDEX "ConsoleSession_lookupHash_key" ON "ConsoleSession"("lookupHash");

-- CreateIndex
CREATE INDEX "AuditEvent_at_idx" ON "AuditEvent"("at");

-- CreateIndex
CREATE INDEX "AuditEvent_resource_resourceId_idx" ON "AuditEvent"("resource", "resourceId");

-- CreateIndex
CREATE INDEX "GatewayLogEntry_at_idx" ON "GatewayLogEntry"("at");

-- CreateIndex
CREATE INDEX "GatewayLogEntry_instanceId_at_idx" ON "GatewayLogEntry"("instanceId", "at");

-- CreateIndex
CREATE INDEX "GatewayLogEntry_bindingId_at_idx" ON "GatewayLogEntry"("bindingId", "at");

-- The counter's one row.
INSERT INTO "Revision" ("id", "value") VALUES (1, 0);
