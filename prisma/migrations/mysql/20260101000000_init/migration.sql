-- Everything compares byte by byte (utf8mb4_bin), as SQLite does, but for the texts of spaces that people search in.

-- CreateTable
CREATE TABLE `Platform` (
    `id` CHAR(36) NOT NULL,
    `kind` VARCHAR(16) NOT NULL,
    `name` VARCHAR(191) NOT NULL,
    `remoteKey` CHAR(64) NOT NULL,
    `settings` LONGTEXT NOT NULL,
    `sealedCredential` LONGTEXT NULL,
    `credentialState` VARCHAR(16) NOT NULL,
    `credentialVersion` INTEGER NOT NULL DEFAULT 0,
    `credentialExpiresAt` DATETIME(3) NULL,
    `gatewayUrl` TEXT NULL,
    `limits` LONGTEXT NOT NULL,
    `status` VARCHAR(16) NOT NULL,
    `rowVersion` INTEGER NOT NULL DEFAULT 1,
    `checkedAt` DATETIME(3) NULL,
    `createdAt` DATETIME(3) NOT NULL,
    `updatedAt` DATETIME(3) NOT NULL,

    UNIQUE INDEX `Platform_name_key`(`name`),
    UNIQUE INDEX `Platform_remoteKey_key`(`remoteKey`),
    PRIMARY KEY (`id`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `McpInstance` (
    `id` CHAR(36) NOT NULL,
    `name` VARCHAR(191) NOT NULL,
    `description` TEXT NOT NULL,
    `transport` VARCHAR(32) NOT NULL,
    `url` TEXT NOT NULL,
    `sealedHeaders` LONGTEXT NULL,
    `sealedDefaultPassThrough` LONGTEXT NULL,
    `accessMode` VARCHAR(16) NOT NULL,
    `forwardAuthorization` BOOLEAN NOT NULL DEFAULT false,
    `limits` LONGTEXT NOT NULL,
    `status` VARCHAR(16) NOT NULL,
    `lastProbe` LONGTEXT NULL,
    `rowVersion` INTEGER NOT NULL DEFAULT 1,
    `revision` INTEGER NOT NULL DEFAULT 0,
    `createdAt` DATETIME(3) NOT NULL,
    `updatedAt` DATETIME(3) NOT NULL,

    UNIQUE INDEX `McpInstance_name_key`(`name`),
    INDEX `McpInstance_revision_idx`(`revision`),
    PRIMARY KEY (`id`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `ToolSnapshot` (
    `id` CHAR(36) NOT NULL,
    `instanceId` CHAR(36) NOT NULL,
    `headerDigest` CHAR(64) NOT NULL,
    `tools` LONGTEXT NOT NULL,
    `toolCount` INTEGER NOT NULL,
    `hash` CHAR(64) NOT NULL,
    `seenAt` DATETIME(3) NOT NULL,

    UNIQUE INDEX `ToolSnapshot_instanceId_headerDigest_key`(`instanceId`, `headerDigest`),
    PRIMARY KEY (`id`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `Space` (
    `id` CHAR(36) NOT NULL,
    `platformId` CHAR(36) NOT NULL,
    `remoteId` VARCHAR(191) NOT NULL,
    `name` VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NOT NULL,
    `ownerName` VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NULL,
    `ownerEmail` VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NULL,
    `role` VARCHAR(32) NULL,
    `archived` BOOLEAN NOT NULL DEFAULT false,
    `problem` TEXT NULL,
    `seenAt` DATETIME(3) NOT NULL,
    `createdAt` DATETIME(3) NOT NULL,
    `updatedAt` DATETIME(3) NOT NULL,

    UNIQUE INDEX `Space_platformId_remoteId_key`(`platformId`, `remoteId`),
    PRIMARY KEY (`id`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `Binding` (
    `id` CHAR(36) NOT NULL,
    `instanceId` CHAR(36) NOT NULL,
    `spaceId` CHAR(36) NOT NULL,
    `enabled` BOOLEAN NOT NULL DEFAULT true,
    `expiresAt` DATETIME(3) NULL,
    `sealedPassThrough` LONGTEXT NULL,
    `toolAllowList` LONGTEXT NULL,
    `tags` LONGTEXT NOT NULL,
    `rowVersion` INTEGER NOT NULL DEFAULT 1,
    `revision` INTEGER NOT NULL DEFAULT 0,
    `createdAt` DATETIME(3) NOT NULL,
    `updatedAt` DATETIME(3) NOT NULL,

    UNIQUE INDEX `Binding_instanceId_spaceId_key`(`instanceId`, `spaceId`),
    INDEX `Binding_spaceId_idx`(`spaceId`),
    INDEX `Binding_revision_idx`(`revision`),
    PRIMARY KEY (`id`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `Deployment` (
    `bindingId` CHAR(36) NOT NULL,
    `platformId` CHAR(36) NOT NULL,
    `spaceId` CHAR(36) NOT NULL,
    `instanceId` CHAR(36) NOT NULL,
    `remoteId` VARCHAR(191) NULL,
    `remoteKey` VARCHAR(191) NULL,
    `state` VARCHAR(16) NOT NULL,
    `ownership` VARCHAR(16) NULL,
    `digests` LONGTEXT NULL,
    `applied` LONGTEXT NULL,
    `checkpoint` LONGTEXT NULL,
    `driftFields` LONGTEXT NULL,
    `driftSince` DATETIME(3) NULL,
    `lastErrorType` VARCHAR(64) NULL,
    `lastErrorMessage` TEXT NULL,
    `lastSyncId` CHAR(36) NULL,
    `appliedAt` DATETIME(3) NULL,
    `verifiedAt` DATETIME(3) NULL,
    `createdAt` DATETIME(3) NOT NULL,
    `updatedAt` DATETIME(3) NOT NULL,

    INDEX `Deployment_platformId_state_idx`(`platformId`, `state`),
    INDEX `Deployment_spaceId_idx`(`spaceId`),
    INDEX `Deployment_instanceId_idx`(`instanceId`),
    PRIMARY KEY (`bindingId`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `GatewayToken` (
    `id` CHAR(36) NOT NULL,
    `instanceId` CHAR(36) NOT NULL,
    `bindingId` CHAR(36) NULL,
    `name` VARCHAR(191) NULL,
    `lookupHash` CHAR(64) NOT NULL,
    `start` VARCHAR(16) NOT NULL,
    `sealedToken` LONGTEXT NOT NULL,
    `sealedHeaders` LONGTEXT NULL,
    `origin` VARCHAR(16) NOT NULL,
    `state` VARCHAR(16) NOT NULL,
    `provenAt` DATETIME(3) NULL,
    `expiresAt` DATETIME(3) NULL,
    `lastUsedAt` DATETIME(3) NULL,
    `revision` INTEGER NOT NULL DEFAULT 0,
    `createdAt` DATETIME(3) NOT NULL,
    `revokedAt` DATETIME(3) NULL,

    UNIQUE INDEX `GatewayToken_lookupHash_key`(`lookupHash`),
    INDEX `GatewayToken_bindingId_idx`(`bindingId`),
    INDEX `GatewayToken_instanceId_idx`(`instanceId`),
    INDEX `GatewayToken_revision_idx`(`revision`),
    PRIMARY KEY (`id`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `Sync` (
    `id` CHAR(36) NOT NULL,
    `platformId` CHAR(36) NOT NULL,
    `profileId` CHAR(36) NULL,
    `name` VARCHAR(191) NOT NULL,
    `action` VARCHAR(16) NOT NULL,
    `state` VARCHAR(32) NOT NULL,
    `phase` VARCHAR(32) NOT NULL,
    `selection` LONGTEXT NOT NULL,
    `sealedAuthorizations` LONGTEXT NULL,
    `writePolicy` VARCHAR(16) NOT NULL,
    `dryRun` BOOLEAN NOT NULL DEFAULT false,
    `acceptWarnings` BOOLEAN NOT NULL DEFAULT false,
    `retryOf` CHAR(36) NULL,
    `planOf` CHAR(36) NULL,
    `workflowId` VARCHAR(191) NOT NULL,
    `runId` VARCHAR(64) NULL,
    `counts` LONGTEXT NOT NULL,
    `warnings` LONGTEXT NOT NULL,
    `errorType` VARCHAR(64) NULL,
    `errorMessage` TEXT NULL,
    `pauseRequested` BOOLEAN NOT NULL DEFAULT false,
    `cancelRequested` BOOLEAN NOT NULL DEFAULT false,
    `requestedBy` VARCHAR(191) NOT NULL,
    `eventSeq` INTEGER NOT NULL DEFAULT 0,
    `createdAt` DATETIME(3) NOT NULL,
    `startedAt` DATETIME(3) NULL,
    `finishedAt` DATETIME(3) NULL,

    UNIQUE INDEX `Sync_workflowId_key`(`workflowId`),
    INDEX `Sync_state_idx`(`state`),
    INDEX `Sync_platformId_idx`(`platformId`),
    INDEX `Sync_createdAt_idx`(`createdAt`),
    PRIMARY KEY (`id`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `SyncTarget` (
    `id` CHAR(36) NOT NULL,
    `syncId` CHAR(36) NOT NULL,
    `spaceId` CHAR(36) NOT NULL,
    `instanceId` CHAR(36) NOT NULL,
    `bindingId` CHAR(36) NULL,
    `action` VARCHAR(16) NULL,
    `state` VARCHAR(16) NOT NULL,
    `changes` LONGTEXT NULL,
    `attempts` INTEGER NOT NULL DEFAULT 0,
    `errorType` VARCHAR(64) NULL,
    `errorMessage` TEXT NULL,
    `note` TEXT NULL,
    `startedAt` DATETIME(3) NULL,
    `finishedAt` DATETIME(3) NULL,
    `updatedAt` DATETIME(3) NOT NULL,

    UNIQUE INDEX `SyncTarget_syncId_spaceId_instanceId_key`(`syncId`, `spaceId`, `instanceId`),
    INDEX `SyncTarget_syncId_state_idx`(`syncId`, `state`),
    PRIMARY KEY (`id`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `SyncEvent` (
    `syncId` CHAR(36) NOT NULL,
    `seq` INTEGER NOT NULL,
    `type` VARCHAR(32) NOT NULL,
    `data` LONGTEXT NOT NULL,
    `at` DATETIME(3) NOT NULL,

    PRIMARY KEY (`syncId`, `seq`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `SyncProfile` (
    `id` CHAR(36) NOT NULL,
    `platformId` CHAR(36) NOT NULL,
    `name` VARCHAR(191) NOT NULL,
    `selection` LONGTEXT NOT NULL,
    `writePolicy` VARCHAR(16) NOT NULL,
    `driftPolicy` VARCHAR(16) NOT NULL,
    `schedule` LONGTEXT NULL,
    `paused` BOOLEAN NOT NULL DEFAULT false,
    `pauseReason` TEXT NULL,
    `rowVersion` INTEGER NOT NULL DEFAULT 1,
    `createdAt` DATETIME(3) NOT NULL,
    `updatedAt` DATETIME(3) NOT NULL,

    UNIQUE INDEX `SyncProfile_name_key`(`name`),
    INDEX `SyncProfile_platformId_idx`(`platformId`),
    PRIMARY KEY (`id`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `ApiKey` (
    `id` CHAR(36) NOT NULL,
    `name` VARCHAR(191) NOT NULL,
    `lookupHash` CHAR(64) NOT NULL,
    `start` VARCHAR(16) NOT NULL,
    `role` VARCHAR(16) NOT NULL,
    `expiresAt` DATETIME(3) NULL,
    `lastUsedAt` DATETIME(3) NULL,
    `revokedAt` DATETIME(3) NULL,
    `createdAt` DATETIME(3) NOT NULL,

    UNIQUE INDEX `ApiKey_lookupHash_key`(`lookupHash`),
    PRIMARY KEY (`id`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `ConsoleSession` (
    `id` CHAR(36) NOT NULL,
    `lookupHash` CHAR(64) NOT NULL,
    `apiKeyId` CHAR(36) NULL,
    `role` VARCHAR(16) NOT NULL,
    `expiresAt` DATETIME(3) NOT NULL,
    `createdAt` DATETIME(3) NOT NULL,

    UNIQUE INDEX `ConsoleSession_lookupHash_key`(`lookupHash`),
    PRIMARY KEY (`id`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `AuditEvent` (
    `id` CHAR(36) NOT NULL,
    `at` DATETIME(3) NOT NULL,
    `actor` VARCHAR(191) NOT NULL,
    `actorId` CHAR(36) NULL,
    `action` VARCHAR(64) NOT NULL,
    `resource` VARCHAR(32) NOT NULL,
    `resourceId` VARCHAR(191) NULL,
    `fields` LONGTEXT NOT NULL,
    `outcome` VARCHAR(16) NOT NULL,
    `requestId` VARCHAR(64) NULL,

    INDEX `AuditEvent_at_idx`(`at`),
    INDEX `AuditEvent_resource_resourceId_idx`(`resource`, `resourceId`),
    PRIMARY KEY (`id`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `GatewayLogEntry` (
    `id` CHAR(36) NOT NULL,
    `at` DATETIME(3) NOT NULL,
    `instanceId` CHAR(36) NOT NULL,
    `bindingId` CHAR(36) NULL,
    `tokenId` CHAR(36) NULL,
    `method` VARCHAR(128) NOT NULL,
    `toolName` VARCHAR(191) NULL,
    `status` INTEGER NOT NULL,
    `errorCode` VARCHAR(64) NULL,
    `requestBytes` INTEGER NOT NULL,
    `responseBytes` INTEGER NOT NULL,
    `durationMs` INTEGER NOT NULL,
    `traceId` VARCHAR(64) NOT NULL,

    INDEX `GatewayLogEntry_at_idx`(`at`),
    INDEX `GatewayLogEntry_instanceId_at_idx`(`instanceId`, `at`),
    INDEX `GatewayLogEntry_bindingId_at_idx`(`bindingId`, `at`),
    PRIMARY KEY (`id`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `SpaceLease` (
    `spaceId` CHAR(36) NOT NULL,
    `holder` VARCHAR(191) NOT NULL,
    `epoch` INTEGER NOT NULL,
    `until` DATETIME(3) NOT NULL,

    PRIMARY KEY (`spaceId`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `CallBudget` (
    `id` VARCHAR(191) NOT NULL,
    `nextAt` DATETIME(3) NOT NULL,
    `updatedAt` DATETIME(3) NOT NULL,

    PRIMARY KEY (`id`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `GatewayReplica` (
    `id` VARCHAR(191) NOT NULL,
    `seenRevision` INTEGER NOT NULL,
    `at` DATETIME(3) NOT NULL,

    PRIMARY KEY (`id`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `Webhook` (
    `id` CHAR(36) NOT NULL,
    `name` VARCHAR(191) NOT NULL,
    `sealedUrl` LONGTEXT NOT NULL,
    `sealedSecrets` LONGTEXT NOT NULL,
    `events` LONGTEXT NOT NULL,
    `enabled` BOOLEAN NOT NULL DEFAULT true,
    `createdAt` DATETIME(3) NOT NULL,
    `updatedAt` DATETIME(3) NOT NULL,

    PRIMARY KEY (`id`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `IdempotencyKey` (
    `id` CHAR(64) NOT NULL,
    `requestHash` CHAR(64) NOT NULL,
    `syncId` CHAR(36) NOT NULL,
    `createdAt` DATETIME(3) NOT NULL,

    PRIMARY KEY (`id`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `Revision` (
    `id` INTEGER NOT NULL,
    `value` INTEGER NOT NULL,

    PRIMARY KEY (`id`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `Setting` (
    `name` VARCHAR(64) NOT NULL,
    `value` LONGTEXT NOT NULL,
    `updatedAt` DATETIME(3) NOT NULL,

    PRIMARY KEY (`name`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The counter's one row.
INSERT INTO `Revision` (`id`, `value`) VALUES (1, 0);
