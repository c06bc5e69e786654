-- CreateTable
CREATE TABLE "ToolHint" (
    "instanceId" TEXT NOT NULL PRIMARY KEY,
    "at" DATETIME NOT NULL
);
