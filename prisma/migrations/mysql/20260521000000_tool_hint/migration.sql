-- CreateTable
CREATE TABLE `ToolHint` (
    `instanceId` CHAR(36) NOT NULL,
    `at` DATETIME(3) NOT NULL,

    PRIMARY KEY (`instanceId`)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
