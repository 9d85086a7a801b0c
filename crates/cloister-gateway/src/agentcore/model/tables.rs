//! The AgentCore service models as tables. Generated: do not edit.
//!
//! From botocore 1.44.8 by `scripts/generate-model.py` (its docstring says how to run it again).
//!
//! `bedrock-agentcore`: sha256 14e60944942bf5b3ab960e65b896f3e8ff4d08092d9c2139b80de563e2280bb3
//! `bedrock-agentcore-control`: sha256 b66187de5e0bb6da4737b76ddadd057c5cea31e00f22a90c29f7e3f740bd39c1

use super::{Location, OPTIONAL, Operation, REQUIRED, Served, Shape, bound, control, data, member};

/// Every operation of both planes.
pub static OPERATIONS: &[Operation] = &[
    data("BatchCreateMemoryRecords", "POST", "/memories/{memoryId}/memoryRecords/batchCreate"),
    data("BatchDeleteMemoryRecords", "POST", "/memories/{memoryId}/memoryRecords/batchDelete"),
    data("BatchUpdateMemoryRecords", "POST", "/memories/{memoryId}/memoryRecords/batchUpdate"),
    data("CompleteResourceTokenAuth", "POST", "/identities/CompleteResourceTokenAuth"),
    data("CreateABTest", "POST", "/ab-tests"),
    data("CreateEvent", "POST", "/memories/{memoryId}/events"),
    data("CreatePaymentInstrument", "POST", "/payments/createPaymentInstrument"),
    data("CreatePaymentSession", "POST", "/payments/createPaymentSession"),
    data("DeleteABTest", "DELETE", "/ab-tests/{abTestId}"),
    data("DeleteBatchEvaluation", "DELETE", "/evaluations/batch-evaluate/{batchEvaluationId}"),
    data(
        "DeleteCapacityProviderSession",
        "DELETE",
        "/capacity-providers/{capacityProviderId}/sessions/{sessionId}",
    ),
    data("DeleteDatasetGeneration", "DELETE", "/datasets/{datasetId}/generations/{generationId}"),
    data(
        "DeleteEvent",
        "DELETE",
        "/memories/{memoryId}/actor/{actorId}/sessions/{sessionId}/events/{eventId}",
    ),
    data("DeleteMemoryRecord", "DELETE", "/memories/{memoryId}/memoryRecords/{memoryRecordId}"),
    data("DeletePaymentInstrument", "POST", "/payments/deletePaymentInstrument"),
    data("DeletePaymentSession", "POST", "/payments/deletePaymentSession"),
    data("DeleteRecommendation", "DELETE", "/recommendations/{recommendationId}"),
    data("Evaluate", "POST", "/evaluations/evaluate/{evaluatorId}"),
    data("GetABTest", "GET", "/ab-tests/{abTestId}"),
    data("GetAgentCard", "GET", "/runtimes/{agentRuntimeArn}/invocations/.well-known/agent-card.json"),
    data("GetAgentInsight", "GET", "/agentinsights/{agentInsightId}"),
    data("GetBatchEvaluation", "GET", "/evaluations/batch-evaluate/{batchEvaluationId}"),
    data("GetBrowserSession", "GET", "/browsers/{browserIdentifier}/sessions/get"),
    data("GetCodeInterpreterSession", "GET", "/code-interpreters/{codeInterpreterIdentifier}/sessions/get"),
    data("GetDatasetGeneration", "GET", "/datasets/{datasetId}/generations/{generationId}"),
    data("GetEvent", "GET", "/memories/{memoryId}/actor/{actorId}/sessions/{sessionId}/events/{eventId}"),
    data("GetMemoryRecord", "GET", "/memories/{memoryId}/memoryRecord/{memoryRecordId}"),
    data("GetPaymentInstrument", "POST", "/payments/getPaymentInstrument"),
    data("GetPaymentInstrumentBalance", "POST", "/payments/getPaymentInstrumentBalance"),
    data("GetPaymentSession", "POST", "/payments/getPaymentSession"),
    data("GetRecommendation", "GET", "/recommendations/{recommendationId}"),
    data("GetResourceApiKey", "POST", "/identities/api-key"),
    data("GetResourceOauth2Token", "POST", "/identities/oauth2/token"),
    data("GetResourcePaymentToken", "POST", "/identities/payment/token"),
    data("GetWorkloadAccessToken", "POST", "/identities/GetWorkloadAccessToken"),
    data("GetWorkloadAccessTokenForJWT", "POST", "/identities/GetWorkloadAccessTokenForJWT"),
    data("GetWorkloadAccessTokenForUserId", "POST", "/identities/GetWorkloadAccessTokenForUserId"),
    data("IngestData", "POST", "/memories/{memoryId}/ingest"),
    data("InvokeAgentRuntime", "POST", "/runtimes/{agentRuntimeArn}/invocations"),
    data("InvokeAgentRuntimeCommand", "POST", "/runtimes/{agentRuntimeArn}/commands"),
    data("InvokeBrowser", "POST", "/browsers/{browserIdentifier}/sessions/invoke"),
    data("InvokeCodeInterpreter", "POST", "/code-interpreters/{codeInterpreterIdentifier}/tools/invoke"),
    data("InvokeHarness", "POST", "/harnesses/invoke"),
    data("InvokeWebSearch", "POST", "/web-search/{webSearchId}/invoke"),
    data("ListABTests", "GET", "/ab-tests"),
    data("ListActors", "POST", "/memories/{memoryId}/actors"),
    data("ListAgentInsights", "GET", "/agentinsights"),
    data("ListBatchEvaluations", "GET", "/evaluations/batch-evaluate"),
    data("ListBrowserSessions", "POST", "/browsers/{browserIdentifier}/sessions/list"),
    data(
        "ListCodeInterpreterSessions",
        "POST",
        "/code-interpreters/{codeInterpreterIdentifier}/sessions/list",
    ),
    data("ListDatasetGenerations", "GET", "/datasets/{datasetId}/generations"),
    data("ListEvents", "POST", "/memories/{memoryId}/actor/{actorId}/sessions/{sessionId}"),
    data("ListMemoryExtractionJobs", "POST", "/memories/{memoryId}/extractionJobs"),
    data("ListMemoryRecords", "POST", "/memories/{memoryId}/memoryRecords"),
    data("ListPaymentInstruments", "POST", "/payments/listPaymentInstruments"),
    data("ListPaymentSessions", "POST", "/payments/listPaymentSessions"),
    data("ListRecommendations", "GET", "/recommendations"),
    data("ListSessions", "POST", "/memories/{memoryId}/actor/{actorId}/sessions"),
    data("ProcessPayment", "POST", "/payments/processPayment"),
    data("RetrieveMemoryRecords", "POST", "/memories/{memoryId}/retrieve"),
    data("SaveBrowserSessionProfile", "PUT", "/browser-profiles/{profileIdentifier}/save"),
    data("SearchRegistryRecords", "POST", "/registry-records/search"),
    data("StartBatchEvaluation", "POST", "/evaluations/batch-evaluate"),
    data("StartBrowserSession", "PUT", "/browsers/{browserIdentifier}/sessions/start"),
    data(
        "StartCodeInterpreterSession",
        "PUT",
        "/code-interpreters/{codeInterpreterIdentifier}/sessions/start",
    ),
    data("StartDatasetGeneration", "POST", "/datasets/{datasetId}/generations"),
    data("StartMemoryExtractionJob", "POST", "/memories/{memoryId}/extractionJobs/start"),
    data("StartRecommendation", "POST", "/recommendations"),
    data("StopBatchEvaluation", "POST", "/evaluations/batch-evaluate/{batchEvaluationId}/stop"),
    data("StopBrowserSession", "PUT", "/browsers/{browserIdentifier}/sessions/stop"),
    data("StopCodeInterpreterSession", "PUT", "/code-interpreters/{codeInterpreterIdentifier}/sessions/stop"),
    data("StopRuntimeSession", "POST", "/runtimes/{agentRuntimeArn}/stopruntimesession"),
    data("UpdateABTest", "PUT", "/ab-tests/{abTestId}"),
    data("UpdateAgentInsight", "PUT", "/agentinsights/{agentInsightId}"),
    data("UpdateBrowserStream", "PUT", "/browsers/{browserIdentifier}/sessions/streams/update"),
    control("AddDatasetExamples", "POST", "/datasets/{datasetId}/examples/add"),
    control("BatchPutGatewayRateLimits", "PUT", "/gateways/{gatewayIdentifier}/rate-limits/batch"),
    control("CreateAgentRuntime", "PUT", "/runtimes/"),
    control("CreateAgentRuntimeEndpoint", "PUT", "/runtimes/{agentRuntimeId}/runtime-endpoints/"),
    control("CreateApiKeyCredentialProvider", "POST", "/identities/CreateApiKeyCredentialProvider"),
    control("CreateBrowser", "PUT", "/browsers"),
    control("CreateBrowserProfile", "PUT", "/browser-profiles"),
    control("CreateCapacityProvider", "PUT", "/capacity-providers"),
    control("CreateCodeInterpreter", "PUT", "/code-interpreters"),
    control("CreateConfigurationBundle", "POST", "/configuration-bundles/create"),
    control("CreateConsentPortal", "POST", "/identities/CreateConsentPortal"),
    control("CreateDataset", "POST", "/datasets"),
    control("CreateDatasetVersion", "POST", "/datasets/{datasetId}/versions"),
    control("CreateEvaluator", "POST", "/evaluators/create"),
    control("CreateGateway", "POST", "/gateways/"),
    control("CreateGatewayRateLimit", "POST", "/gateways/{gatewayIdentifier}/rate-limits"),
    control("CreateGatewayRule", "POST", "/gateways/{gatewayIdentifier}/rules"),
    control("CreateGatewayTarget", "POST", "/gateways/{gatewayIdentifier}/targets/"),
    control("CreateHarness", "POST", "/harnesses"),
    control("CreateHarnessEndpoint", "POST", "/harnesses/{harnessId}/endpoints"),
    control("CreateMemory", "POST", "/memories/create"),
    control("CreateOauth2CredentialProvider", "POST", "/identities/CreateOauth2CredentialProvider"),
    control("CreateOnlineEvaluationConfig", "POST", "/online-evaluation-configs/create"),
    control("CreatePaymentConnector", "POST", "/payments/managers/{paymentManagerId}/connectors"),
    control("CreatePaymentCredentialProvider", "POST", "/identities/CreatePaymentCredentialProvider"),
    control("CreatePaymentManager", "POST", "/payments/managers"),
    control("CreatePolicy", "POST", "/policy-engines/{policyEngineId}/policies"),
    control("CreatePolicyEngine", "POST", "/policy-engines"),
    control("CreateRegistry", "POST", "/registries"),
    control("CreateRegistryRecord", "POST", "/registries/{registryId}/records"),
    control("CreateWorkloadIdentity", "POST", "/identities/CreateWorkloadIdentity"),
    control("DeleteAgentRuntime", "DELETE", "/runtimes/{agentRuntimeId}/"),
    control(
        "DeleteAgentRuntimeEndpoint",
        "DELETE",
        "/runtimes/{agentRuntimeId}/runtime-endpoints/{endpointName}/",
    ),
    control("DeleteApiKeyCredentialProvider", "POST", "/identities/DeleteApiKeyCredentialProvider"),
    control("DeleteBrowser", "DELETE", "/browsers/{browserId}"),
    control("DeleteBrowserProfile", "DELETE", "/browser-profiles/{profileId}"),
    control("DeleteCapacityProvider", "DELETE", "/capacity-providers/{capacityProviderId}"),
    control("DeleteCodeInterpreter", "DELETE", "/code-interpreters/{codeInterpreterId}"),
    control("DeleteConfigurationBundle", "DELETE", "/configuration-bundles/{bundleId}"),
    control("DeleteConsentPortal", "POST", "/identities/DeleteConsentPortal"),
    control("DeleteDataset", "DELETE", "/datasets/{datasetId}"),
    control("DeleteDatasetExamples", "POST", "/datasets/{datasetId}/examples/delete"),
    control("DeleteEvaluator", "DELETE", "/evaluators/{evaluatorId}"),
    control("DeleteGateway", "DELETE", "/gateways/{gatewayIdentifier}/"),
    control("DeleteGatewayRateLimit", "DELETE", "/gateways/{gatewayIdentifier}/rate-limits/{rateLimitId}"),
    control("DeleteGatewayRule", "DELETE", "/gateways/{gatewayIdentifier}/rules/{ruleId}"),
    control("DeleteGatewayTarget", "DELETE", "/gateways/{gatewayIdentifier}/targets/{targetId}/"),
    control("DeleteHarness", "DELETE", "/harnesses/{harnessId}"),
    control("DeleteHarnessEndpoint", "DELETE", "/harnesses/{harnessId}/endpoints/{endpointName}"),
    control("DeleteMemory", "DELETE", "/memories/{memoryId}/delete"),
    control("DeleteOauth2CredentialProvider", "POST", "/identities/DeleteOauth2CredentialProvider"),
    control(
        "DeleteOnlineEvaluationConfig",
        "DELETE",
        "/online-evaluation-configs/{onlineEvaluationConfigId}",
    ),
    control(
        "DeletePaymentConnector",
        "DELETE",
        "/payments/managers/{paymentManagerId}/connectors/{paymentConnectorId}",
    ),
    control("DeletePaymentCredentialProvider", "POST", "/identities/DeletePaymentCredentialProvider"),
    control("DeletePaymentManager", "DELETE", "/payments/managers/{paymentManagerId}"),
    control("DeletePolicy", "DELETE", "/policy-engines/{policyEngineId}/policies/{policyId}"),
    control("DeletePolicyEngine", "DELETE", "/policy-engines/{policyEngineId}"),
    control("DeleteRegistry", "DELETE", "/registries/{registryId}"),
    control("DeleteRegistryRecord", "DELETE", "/registries/{registryId}/records/{recordId}"),
    control("DeleteResourcePolicy", "DELETE", "/resourcepolicy/{resourceArn}"),
    control("DeleteWorkloadIdentity", "POST", "/identities/DeleteWorkloadIdentity"),
    control("GetAgentInsightStore", "GET", "/agent-insight-stores/{agentInsightStoreId}"),
    control("GetAgentRuntime", "GET", "/runtimes/{agentRuntimeId}/"),
    control("GetAgentRuntimeEndpoint", "GET", "/runtimes/{agentRuntimeId}/runtime-endpoints/{endpointName}/"),
    control("GetApiKeyCredentialProvider", "POST", "/identities/GetApiKeyCredentialProvider"),
    control("GetBrowser", "GET", "/browsers/{browserId}"),
    control("GetBrowserProfile", "GET", "/browser-profiles/{profileId}"),
    control("GetCapacityProvider", "GET", "/capacity-providers/{capacityProviderId}"),
    control("GetCodeInterpreter", "GET", "/code-interpreters/{codeInterpreterId}"),
    control("GetConfigurationBundle", "GET", "/configuration-bundles/{bundleId}"),
    control("GetConfigurationBundleVersion", "GET", "/configuration-bundles/{bundleId}/versions/{versionId}"),
    control("GetConsentPortal", "POST", "/identities/GetConsentPortal"),
    control("GetDataset", "GET", "/datasets/{datasetId}"),
    control("GetEvaluator", "GET", "/evaluators/{evaluatorId}"),
    control("GetGateway", "GET", "/gateways/{gatewayIdentifier}/"),
    control("GetGatewayRateLimit", "GET", "/gateways/{gatewayIdentifier}/rate-limits/{rateLimitId}"),
    control("GetGatewayRule", "GET", "/gateways/{gatewayIdentifier}/rules/{ruleId}"),
    control("GetGatewayTarget", "GET", "/gateways/{gatewayIdentifier}/targets/{targetId}/"),
    control("GetHarness", "GET", "/harnesses/{harnessId}"),
    control("GetHarnessEndpoint", "GET", "/harnesses/{harnessId}/endpoints/{endpointName}"),
    control("GetMemory", "GET", "/memories/{memoryId}/details"),
    control("GetOauth2CredentialProvider", "POST", "/identities/GetOauth2CredentialProvider"),
    control("GetOnlineEvaluationConfig", "GET", "/online-evaluation-configs/{onlineEvaluationConfigId}"),
    control(
        "GetPaymentConnector",
        "GET",
        "/payments/managers/{paymentManagerId}/connectors/{paymentConnectorId}",
    ),
    control("GetPaymentCredentialProvider", "POST", "/identities/GetPaymentCredentialProvider"),
    control("GetPaymentManager", "GET", "/payments/managers/{paymentManagerId}"),
    control("GetPolicy", "GET", "/policy-engines/{policyEngineId}/policies/{policyId}"),
    control("GetPolicyEngine", "GET", "/policy-engines/{policyEngineId}"),
    control("GetPolicyEngineSummary", "GET", "/policy-engine-summaries/{policyEngineId}"),
    control(
        "GetPolicyGeneration",
        "GET",
        "/policy-engines/{policyEngineId}/policy-generations/{policyGenerationId}",
    ),
    control(
        "GetPolicyGenerationSummary",
        "GET",
        "/policy-engines/{policyEngineId}/policy-generation-summaries/{policyGenerationId}",
    ),
    control("GetPolicySummary", "GET", "/policy-engines/{policyEngineId}/policy-summaries/{policyId}"),
    control("GetRegistry", "GET", "/registries/{registryId}"),
    control("GetRegistryRecord", "GET", "/registries/{registryId}/records/{recordId}"),
    control("GetResourcePolicy", "GET", "/resourcepolicy/{resourceArn}"),
    control("GetTokenVault", "POST", "/identities/get-token-vault"),
    control("GetWorkloadIdentity", "POST", "/identities/GetWorkloadIdentity"),
    control("ListAgentInsightStores", "POST", "/agent-insight-stores"),
    control("ListAgentRuntimeEndpoints", "POST", "/runtimes/{agentRuntimeId}/runtime-endpoints/"),
    control("ListAgentRuntimeVersions", "POST", "/runtimes/{agentRuntimeId}/versions/"),
    control(
        "ListAgentRuntimeVersionsByCapacityProvider",
        "POST",
        "/capacity-providers/{capacityProviderId}/runtime-versions",
    ),
    control("ListAgentRuntimes", "POST", "/runtimes/"),
    control("ListApiKeyCredentialProviders", "POST", "/identities/ListApiKeyCredentialProviders"),
    control("ListBrowserProfiles", "POST", "/browser-profiles"),
    control("ListBrowsers", "POST", "/browsers"),
    control("ListCapacityProviders", "POST", "/capacity-providers"),
    control("ListCodeInterpreters", "POST", "/code-interpreters"),
    control("ListConfigurationBundleVersions", "POST", "/configuration-bundles/{bundleId}/versions"),
    control("ListConfigurationBundles", "POST", "/configuration-bundles"),
    control("ListConsentPortals", "POST", "/identities/ListConsentPortals"),
    control("ListDatasetExamples", "POST", "/datasets/{datasetId}/examples/list"),
    control("ListDatasetVersions", "POST", "/datasets/{datasetId}/versions/list"),
    control("ListDatasets", "POST", "/datasets/list"),
    control("ListEvaluators", "POST", "/evaluators"),
    control("ListGatewayRateLimits", "GET", "/gateways/{gatewayIdentifier}/rate-limits"),
    control("ListGatewayRules", "GET", "/gateways/{gatewayIdentifier}/rules"),
    control("ListGatewayTargets", "GET", "/gateways/{gatewayIdentifier}/targets/"),
    control("ListGateways", "GET", "/gateways/"),
    control("ListHarnessEndpoints", "GET", "/harnesses/{harnessId}/endpoints"),
    control("ListHarnessVersions", "GET", "/harnesses/{harnessId}/versions"),
    control("ListHarnesses", "GET", "/harnesses"),
    control("ListMemories", "POST", "/memories/"),
    control("ListOauth2CredentialProviders", "POST", "/identities/ListOauth2CredentialProviders"),
    control("ListOnlineEvaluationConfigs", "POST", "/online-evaluation-configs"),
    control("ListPaymentConnectors", "POST", "/payments/managers/{paymentManagerId}/connectors-list"),
    control("ListPaymentCredentialProviders", "POST", "/identities/ListPaymentCredentialProviders"),
    control("ListPaymentManagers", "POST", "/payments/managers-list"),
    control("ListPolicies", "GET", "/policy-engines/{policyEngineId}/policies"),
    control("ListPolicyEngineSummaries", "GET", "/policy-engine-summaries"),
    control("ListPolicyEngines", "GET", "/policy-engines"),
    control(
        "ListPolicyGenerationAssets",
        "GET",
        "/policy-engines/{policyEngineId}/policy-generations/{policyGenerationId}/assets",
    ),
    control(
        "ListPolicyGenerationSummaries",
        "GET",
        "/policy-engines/{policyEngineId}/policy-generation-summaries",
    ),
    control("ListPolicyGenerations", "GET", "/policy-engines/{policyEngineId}/policy-generations"),
    control("ListPolicySummaries", "GET", "/policy-engines/{policyEngineId}/policy-summaries"),
    control("ListRegistries", "GET", "/registries"),
    control("ListRegistryRecords", "GET", "/registries/{registryId}/records"),
    control("ListTagsForResource", "GET", "/tags/{resourceArn}"),
    control("ListWorkloadIdentities", "POST", "/identities/ListWorkloadIdentities"),
    control("PutResourcePolicy", "PUT", "/resourcepolicy/{resourceArn}"),
    control("ResetTokenVaultKeyMaterial", "POST", "/identities/reset-token-vault-key-material"),
    control(
        "RotatePaymentConnectorCredentials",
        "POST",
        "/payments/managers/{paymentManagerId}/connectors/{paymentConnectorId}/rotate-credentials",
    ),
    control("SetTokenVaultCMK", "POST", "/identities/set-token-vault-cmk"),
    control("StartPolicyGeneration", "POST", "/policy-engines/{policyEngineId}/policy-generations"),
    control(
        "SubmitRegistryRecordForApproval",
        "POST",
        "/registries/{registryId}/records/{recordId}/submit-for-approval",
    ),
    control("SynchronizeGatewayTargets", "PUT", "/gateways/{gatewayIdentifier}/synchronizeTargets"),
    control("TagResource", "POST", "/tags/{resourceArn}"),
    control("UntagResource", "DELETE", "/tags/{resourceArn}"),
    control("UpdateAgentInsightStore", "PUT", "/agent-insight-stores/{agentInsightStoreId}"),
    control("UpdateAgentRuntime", "PUT", "/runtimes/{agentRuntimeId}/"),
    control(
        "UpdateAgentRuntimeEndpoint",
        "PUT",
        "/runtimes/{agentRuntimeId}/runtime-endpoints/{endpointName}/",
    ),
    control("UpdateApiKeyCredentialProvider", "POST", "/identities/UpdateApiKeyCredentialProvider"),
    control("UpdateCapacityProvider", "PUT", "/capacity-providers/{capacityProviderId}"),
    control("UpdateConfigurationBundle", "PUT", "/configuration-bundles/{bundleId}"),
    control("UpdateConsentPortal", "POST", "/identities/UpdateConsentPortal"),
    control("UpdateDataset", "PUT", "/datasets/{datasetId}"),
    control("UpdateDatasetExamples", "POST", "/datasets/{datasetId}/examples/update"),
    control("UpdateEvaluator", "PUT", "/evaluators/{evaluatorId}"),
    control("UpdateGateway", "PUT", "/gateways/{gatewayIdentifier}/"),
    control("UpdateGatewayRateLimit", "PATCH", "/gateways/{gatewayIdentifier}/rate-limits/{rateLimitId}"),
    control("UpdateGatewayRule", "PATCH", "/gateways/{gatewayIdentifier}/rules/{ruleId}"),
    control("UpdateGatewayTarget", "PUT", "/gateways/{gatewayIdentifier}/targets/{targetId}/"),
    control("UpdateHarness", "PATCH", "/harnesses/{harnessId}"),
    control("UpdateHarnessEndpoint", "PATCH", "/harnesses/{harnessId}/endpoints/{endpointName}"),
    control("UpdateMemory", "PUT", "/memories/{memoryId}/update"),
    control("UpdateOauth2CredentialProvider", "POST", "/identities/UpdateOauth2CredentialProvider"),
    control("UpdateOnlineEvaluationConfig", "PUT", "/online-evaluation-configs/{onlineEvaluationConfigId}"),
    control(
        "UpdatePaymentConnector",
        "PATCH",
        "/payments/managers/{paymentManagerId}/connectors/{paymentConnectorId}",
    ),
    control("UpdatePaymentCredentialProvider", "POST", "/identities/UpdatePaymentCredentialProvider"),
    control("UpdatePaymentManager", "PATCH", "/payments/managers/{paymentManagerId}"),
    control("UpdatePolicy", "PATCH", "/policy-engines/{policyEngineId}/policies/{policyId}"),
    control("UpdatePolicyEngine", "PATCH", "/policy-engines/{policyEngineId}"),
    control("UpdateRegistry", "PATCH", "/registries/{registryId}"),
    control("UpdateRegistryRecord", "PATCH", "/registries/{registryId}/records/{recordId}"),
    control("UpdateRegistryRecordStatus", "PATCH", "/registries/{registryId}/records/{recordId}/status"),
    control("UpdateWorkloadIdentity", "POST", "/identities/UpdateWorkloadIdentity"),
];

/// The operations that this server answers, with their shapes.
pub static SERVED: &[Served] = &[
    Served {
        name: "StartCodeInterpreterSession",
        status: 200,
        input: &START_CODE_INTERPRETER_SESSION_REQUEST,
        output: &START_CODE_INTERPRETER_SESSION_RESPONSE,
    },
    Served {
        name: "GetCodeInterpreterSession",
        status: 200,
        input: &GET_CODE_INTERPRETER_SESSION_REQUEST,
        output: &GET_CODE_INTERPRETER_SESSION_RESPONSE,
    },
    Served {
        name: "ListCodeInterpreterSessions",
        status: 200,
        input: &LIST_CODE_INTERPRETER_SESSIONS_REQUEST,
        output: &LIST_CODE_INTERPRETER_SESSIONS_RESPONSE,
    },
    Served {
        name: "StopCodeInterpreterSession",
        status: 200,
        input: &STOP_CODE_INTERPRETER_SESSION_REQUEST,
        output: &STOP_CODE_INTERPRETER_SESSION_RESPONSE,
    },
    Served {
        name: "InvokeCodeInterpreter",
        status: 200,
        input: &INVOKE_CODE_INTERPRETER_REQUEST,
        output: &INVOKE_CODE_INTERPRETER_RESPONSE,
    },
    Served {
        name: "StartBrowserSession",
        status: 200,
        input: &START_BROWSER_SESSION_REQUEST,
        output: &START_BROWSER_SESSION_RESPONSE,
    },
    Served {
        name: "GetBrowserSession",
        status: 200,
        input: &GET_BROWSER_SESSION_REQUEST,
        output: &GET_BROWSER_SESSION_RESPONSE,
    },
    Served {
        name: "ListBrowserSessions",
        status: 200,
        input: &LIST_BROWSER_SESSIONS_REQUEST,
        output: &LIST_BROWSER_SESSIONS_RESPONSE,
    },
    Served {
        name: "StopBrowserSession",
        status: 200,
        input: &STOP_BROWSER_SESSION_REQUEST,
        output: &STOP_BROWSER_SESSION_RESPONSE,
    },
    Served {
        name: "UpdateBrowserStream",
        status: 200,
        input: &UPDATE_BROWSER_STREAM_REQUEST,
        output: &UPDATE_BROWSER_STREAM_RESPONSE,
    },
    Served {
        name: "InvokeBrowser",
        status: 200,
        input: &INVOKE_BROWSER_REQUEST,
        output: &INVOKE_BROWSER_RESPONSE,
    },
];

/// The errors that the served operations list, with their statuses and shapes.
pub static ERRORS: &[(&str, u16, &Shape)] = &[
    ("AccessDeniedException", 403, &ACCESS_DENIED_EXCEPTION),
    ("ConflictException", 409, &CONFLICT_EXCEPTION),
    ("InternalServerException", 500, &INTERNAL_SERVER_EXCEPTION),
    ("ResourceNotFoundException", 404, &RESOURCE_NOT_FOUND_EXCEPTION),
    ("ServiceQuotaExceededException", 402, &SERVICE_QUOTA_EXCEEDED_EXCEPTION),
    ("ThrottlingException", 429, &THROTTLING_EXCEPTION),
    ("ValidationException", 400, &VALIDATION_EXCEPTION),
];

/// `AccessDeniedException`.
pub static ACCESS_DENIED_EXCEPTION: Shape =
    Shape::Structure { union: false, members: &[member("message", OPTIONAL, &NON_BLANK_STRING)] };
/// `AutomationStream`.
pub static AUTOMATION_STREAM: Shape = Shape::Structure {
    union: false,
    members: &[
        member("streamEndpoint", REQUIRED, &BROWSER_STREAM_ENDPOINT),
        member("streamStatus", REQUIRED, &AUTOMATION_STREAM_STATUS),
    ],
};
/// `AutomationStreamStatus`.
pub static AUTOMATION_STREAM_STATUS: Shape =
    Shape::String { min: None, max: None, pattern: None, values: &["ENABLED", "DISABLED"] };
/// `AutomationStreamUpdate`.
pub static AUTOMATION_STREAM_UPDATE: Shape = Shape::Structure {
    union: false,
    members: &[member("streamStatus", OPTIONAL, &AUTOMATION_STREAM_STATUS)],
};
/// `BasicAuth`.
pub static BASIC_AUTH: Shape =
    Shape::Structure { union: false, members: &[member("secretArn", REQUIRED, &SECRET_ARN)] };
/// `Blob`.
pub static BLOB: Shape = Shape::Blob { min: None, max: None };
/// `Body`.
pub static BODY: Shape = Shape::Blob { min: Some(0), max: Some(100_000_000) };
/// `Boolean`.
pub static BOOLEAN: Shape = Shape::Boolean;
/// `BrowserAction`.
pub static BROWSER_ACTION: Shape = Shape::Structure {
    union: true,
    members: &[
        member("mouseClick", OPTIONAL, &MOUSE_CLICK_ARGUMENTS),
        member("mouseMove", OPTIONAL, &MOUSE_MOVE_ARGUMENTS),
        member("mouseDrag", OPTIONAL, &MOUSE_DRAG_ARGUMENTS),
        member("mouseScroll", OPTIONAL, &MOUSE_SCROLL_ARGUMENTS),
        member("keyType", OPTIONAL, &KEY_TYPE_ARGUMENTS),
        member("keyPress", OPTIONAL, &KEY_PRESS_ARGUMENTS),
        member("keyShortcut", OPTIONAL, &KEY_SHORTCUT_ARGUMENTS),
        member("screenshot", OPTIONAL, &SCREENSHOT_ARGUMENTS),
    ],
};
/// `BrowserActionResult`.
pub static BROWSER_ACTION_RESULT: Shape = Shape::Structure {
    union: true,
    members: &[
        member("mouseClick", OPTIONAL, &MOUSE_CLICK_RESULT),
        member("mouseMove", OPTIONAL, &MOUSE_MOVE_RESULT),
        member("mouseDrag", OPTIONAL, &MOUSE_DRAG_RESULT),
        member("mouseScroll", OPTIONAL, &MOUSE_SCROLL_RESULT),
        member("keyType", OPTIONAL, &KEY_TYPE_RESULT),
        member("keyPress", OPTIONAL, &KEY_PRESS_RESULT),
        member("keyShortcut", OPTIONAL, &KEY_SHORTCUT_RESULT),
        member("screenshot", OPTIONAL, &SCREENSHOT_RESULT),
    ],
};
/// `BrowserActionStatus`.
pub static BROWSER_ACTION_STATUS: Shape =
    Shape::String { min: None, max: None, pattern: None, values: &["SUCCESS", "FAILED"] };
/// `BrowserEnterprisePolicies`.
pub static BROWSER_ENTERPRISE_POLICIES: Shape =
    Shape::List { min: Some(0), max: Some(100), member: &BROWSER_ENTERPRISE_POLICY };
/// `BrowserEnterprisePolicy`.
pub static BROWSER_ENTERPRISE_POLICY: Shape = Shape::Structure {
    union: false,
    members: &[
        member("location", REQUIRED, &RESOURCE_LOCATION),
        member("type", OPTIONAL, &BROWSER_ENTERPRISE_POLICY_TYPE),
    ],
};
/// `BrowserEnterprisePolicyType`.
pub static BROWSER_ENTERPRISE_POLICY_TYPE: Shape =
    Shape::String { min: None, max: None, pattern: None, values: &["MANAGED", "RECOMMENDED"] };
/// `BrowserExtension`.
pub static BROWSER_EXTENSION: Shape =
    Shape::Structure { union: false, members: &[member("location", REQUIRED, &RESOURCE_LOCATION)] };
/// `BrowserExtensions`.
pub static BROWSER_EXTENSIONS: Shape =
    Shape::List { min: Some(1), max: Some(10), member: &BROWSER_EXTENSION };
/// `BrowserProfileConfiguration`.
pub static BROWSER_PROFILE_CONFIGURATION: Shape =
    Shape::Structure { union: false, members: &[member("profileIdentifier", REQUIRED, &BROWSER_PROFILE_ID)] };
/// `BrowserProfileId`.
pub static BROWSER_PROFILE_ID: Shape = Shape::String {
    min: None,
    max: None,
    pattern: Some("[a-zA-Z][a-zA-Z0-9_]{0,47}-[a-zA-Z0-9]{10}"),
    values: &[],
};
/// `BrowserSessionId`.
pub static BROWSER_SESSION_ID: Shape =
    Shape::String { min: None, max: None, pattern: Some("[0-9a-zA-Z]{1,40}"), values: &[] };
/// `BrowserSessionStatus`.
pub static BROWSER_SESSION_STATUS: Shape =
    Shape::String { min: None, max: None, pattern: None, values: &["READY", "TERMINATED"] };
/// `BrowserSessionStream`.
pub static BROWSER_SESSION_STREAM: Shape = Shape::Structure {
    union: false,
    members: &[
        member("automationStream", REQUIRED, &AUTOMATION_STREAM),
        member("liveViewStream", OPTIONAL, &LIVE_VIEW_STREAM),
    ],
};
/// `BrowserSessionSummaries`.
pub static BROWSER_SESSION_SUMMARIES: Shape =
    Shape::List { min: None, max: None, member: &BROWSER_SESSION_SUMMARY };
/// `BrowserSessionSummary`.
pub static BROWSER_SESSION_SUMMARY: Shape = Shape::Structure {
    union: false,
    members: &[
        member("browserIdentifier", REQUIRED, &STRING),
        member("sessionId", REQUIRED, &BROWSER_SESSION_ID),
        member("name", OPTIONAL, &NAME),
        member("status", REQUIRED, &BROWSER_SESSION_STATUS),
        member("createdAt", REQUIRED, &DATE_TIMESTAMP),
        member("lastUpdatedAt", OPTIONAL, &DATE_TIMESTAMP),
    ],
};
/// `BrowserSessionTimeout`.
pub static BROWSER_SESSION_TIMEOUT: Shape = Shape::Integer { min: Some(1), max: Some(28_800) };
/// `BrowserStreamEndpoint`.
pub static BROWSER_STREAM_ENDPOINT: Shape =
    Shape::String { min: Some(10), max: Some(512), pattern: None, values: &[] };
/// `Certificate`.
pub static CERTIFICATE: Shape =
    Shape::Structure { union: false, members: &[member("location", REQUIRED, &CERTIFICATE_LOCATION)] };
/// `CertificateLocation`.
pub static CERTIFICATE_LOCATION: Shape = Shape::Structure {
    union: true,
    members: &[member("secretsManager", OPTIONAL, &SECRETS_MANAGER_LOCATION)],
};
/// `Certificates`.
pub static CERTIFICATES: Shape = Shape::List { min: Some(1), max: Some(200), member: &CERTIFICATE };
/// `ClientToken`.
pub static CLIENT_TOKEN: Shape = Shape::String {
    min: Some(33),
    max: Some(256),
    pattern: Some("[a-zA-Z0-9](-*[a-zA-Z0-9]){0,256}"),
    values: &[],
};
/// `CodeInterpreterResult`.
pub static CODE_INTERPRETER_RESULT: Shape = Shape::Structure {
    union: false,
    members: &[
        member("content", REQUIRED, &CONTENT_BLOCK_LIST),
        member("structuredContent", OPTIONAL, &TOOL_RESULT_STRUCTURED_CONTENT),
        member("isError", OPTIONAL, &BOOLEAN),
    ],
};
/// `CodeInterpreterSessionId`.
pub static CODE_INTERPRETER_SESSION_ID: Shape =
    Shape::String { min: None, max: None, pattern: Some("[0-9a-zA-Z]{1,40}"), values: &[] };
/// `CodeInterpreterSessionStatus`.
pub static CODE_INTERPRETER_SESSION_STATUS: Shape =
    Shape::String { min: None, max: None, pattern: None, values: &["READY", "TERMINATED"] };
/// `CodeInterpreterSessionSummaries`.
pub static CODE_INTERPRETER_SESSION_SUMMARIES: Shape =
    Shape::List { min: None, max: None, member: &CODE_INTERPRETER_SESSION_SUMMARY };
/// `CodeInterpreterSessionSummary`.
pub static CODE_INTERPRETER_SESSION_SUMMARY: Shape = Shape::Structure {
    union: false,
    members: &[
        member("codeInterpreterIdentifier", REQUIRED, &STRING),
        member("sessionId", REQUIRED, &CODE_INTERPRETER_SESSION_ID),
        member("name", OPTIONAL, &NAME),
        member("status", REQUIRED, &CODE_INTERPRETER_SESSION_STATUS),
        member("createdAt", REQUIRED, &DATE_TIMESTAMP),
        member("lastUpdatedAt", OPTIONAL, &DATE_TIMESTAMP),
    ],
};
/// `CodeInterpreterSessionTimeout`.
pub static CODE_INTERPRETER_SESSION_TIMEOUT: Shape = Shape::Integer { min: Some(1), max: Some(28_800) };
/// `CodeInterpreterStreamOutput`.
pub static CODE_INTERPRETER_STREAM_OUTPUT: Shape = Shape::Structure {
    union: true,
    members: &[
        member("result", OPTIONAL, &CODE_INTERPRETER_RESULT),
        member("accessDeniedException", OPTIONAL, &ACCESS_DENIED_EXCEPTION),
        member("conflictException", OPTIONAL, &CONFLICT_EXCEPTION),
        member("internalServerException", OPTIONAL, &INTERNAL_SERVER_EXCEPTION),
        member("resourceNotFoundException", OPTIONAL, &RESOURCE_NOT_FOUND_EXCEPTION),
        member("serviceQuotaExceededException", OPTIONAL, &SERVICE_QUOTA_EXCEEDED_EXCEPTION),
        member("throttlingException", OPTIONAL, &THROTTLING_EXCEPTION),
        member("validationException", OPTIONAL, &VALIDATION_EXCEPTION),
    ],
};
/// `ConflictException`.
pub static CONFLICT_EXCEPTION: Shape =
    Shape::Structure { union: false, members: &[member("message", OPTIONAL, &NON_BLANK_STRING)] };
/// `ContentBlock`.
pub static CONTENT_BLOCK: Shape = Shape::Structure {
    union: false,
    members: &[
        member("type", REQUIRED, &CONTENT_BLOCK_TYPE),
        member("text", OPTIONAL, &STRING),
        member("data", OPTIONAL, &BLOB),
        member("mimeType", OPTIONAL, &STRING),
        member("uri", OPTIONAL, &STRING),
        member("name", OPTIONAL, &STRING),
        member("description", OPTIONAL, &STRING),
        member("size", OPTIONAL, &LONG),
        member("resource", OPTIONAL, &RESOURCE_CONTENT),
    ],
};
/// `ContentBlockList`.
pub static CONTENT_BLOCK_LIST: Shape = Shape::List { min: None, max: None, member: &CONTENT_BLOCK };
/// `ContentBlockType`.
pub static CONTENT_BLOCK_TYPE: Shape = Shape::String {
    min: None,
    max: None,
    pattern: None,
    values: &["text", "image", "resource", "resource_link"],
};
/// `DateTimestamp`.
pub static DATE_TIMESTAMP: Shape = Shape::Timestamp;
/// `DomainPattern`.
pub static DOMAIN_PATTERN: Shape = Shape::String {
    min: Some(1),
    max: Some(253),
    pattern: Some(
        "(\\.)?[a-zA-Z0-9]([a-zA-Z0-9\\-]{0,61}[a-zA-Z0-9])?(\\.[a-zA-Z0-9]([a-zA-Z0-9\\-]{0,61}[a-zA-Z0-9])?)*",
    ),
    values: &[],
};
/// `DomainPatterns`.
pub static DOMAIN_PATTERNS: Shape = Shape::List { min: Some(1), max: Some(100), member: &DOMAIN_PATTERN };
/// `Double`.
pub static DOUBLE: Shape = Shape::Double;
/// `EfsAccessPointArn`.
pub static EFS_ACCESS_POINT_ARN: Shape = Shape::String {
    min: Some(0),
    max: Some(128),
    pattern: Some("arn:aws[-a-z]*:elasticfilesystem:[0-9a-z-:]+:access-point/fsap-[0-9a-f]{8,40}"),
    values: &[],
};
/// `EfsConfiguration`.
pub static EFS_CONFIGURATION: Shape = Shape::Structure {
    union: false,
    members: &[
        member("accessPointArn", REQUIRED, &EFS_ACCESS_POINT_ARN),
        member("mountPath", REQUIRED, &MOUNT_PATH),
        member("fileSystemArn", REQUIRED, &EFS_FILE_SYSTEM_ARN),
    ],
};
/// `EfsFileSystemArn`.
pub static EFS_FILE_SYSTEM_ARN: Shape = Shape::String {
    min: Some(0),
    max: Some(256),
    pattern: Some("arn:aws[-a-z]*:elasticfilesystem:[a-z0-9-]+:[0-9]{12}:file-system/fs-[0-9a-f]{8,40}"),
    values: &[],
};
/// `ExternalProxy`.
pub static EXTERNAL_PROXY: Shape = Shape::Structure {
    union: false,
    members: &[
        member("server", REQUIRED, &HOST_NAME),
        member("port", REQUIRED, &EXTERNAL_PROXY_PORT_INTEGER),
        member("domainPatterns", OPTIONAL, &DOMAIN_PATTERNS),
        member("credentials", OPTIONAL, &PROXY_CREDENTIALS),
    ],
};
/// `ExternalProxyPortInteger`.
pub static EXTERNAL_PROXY_PORT_INTEGER: Shape = Shape::Integer { min: Some(1), max: Some(65_535) };
/// `GetBrowserSessionRequest`.
pub static GET_BROWSER_SESSION_REQUEST: Shape = Shape::Structure {
    union: false,
    members: &[
        bound(Location::Uri, "browserIdentifier", "browserIdentifier", REQUIRED, &STRING),
        bound(Location::Query, "sessionId", "sessionId", REQUIRED, &BROWSER_SESSION_ID),
    ],
};
/// `GetBrowserSessionResponse`.
pub static GET_BROWSER_SESSION_RESPONSE: Shape = Shape::Structure {
    union: false,
    members: &[
        member("browserIdentifier", REQUIRED, &STRING),
        member("sessionId", REQUIRED, &BROWSER_SESSION_ID),
        member("name", OPTIONAL, &NAME),
        member("createdAt", REQUIRED, &DATE_TIMESTAMP),
        member("viewPort", OPTIONAL, &VIEW_PORT),
        member("extensions", OPTIONAL, &BROWSER_EXTENSIONS),
        member("enterprisePolicies", OPTIONAL, &BROWSER_ENTERPRISE_POLICIES),
        member("profileConfiguration", OPTIONAL, &BROWSER_PROFILE_CONFIGURATION),
        member("sessionTimeoutSeconds", OPTIONAL, &BROWSER_SESSION_TIMEOUT),
        member("status", OPTIONAL, &BROWSER_SESSION_STATUS),
        member("streams", OPTIONAL, &BROWSER_SESSION_STREAM),
        member("proxyConfiguration", OPTIONAL, &PROXY_CONFIGURATION),
        member("certificates", OPTIONAL, &CERTIFICATES),
        member("filesystemConfigurations", OPTIONAL, &TOOLS_FILE_SYSTEM_CONFIGURATIONS),
        member("sessionReplayArtifact", OPTIONAL, &STRING),
        member("lastUpdatedAt", OPTIONAL, &DATE_TIMESTAMP),
    ],
};
/// `GetCodeInterpreterSessionRequest`.
pub static GET_CODE_INTERPRETER_SESSION_REQUEST: Shape = Shape::Structure {
    union: false,
    members: &[
        bound(Location::Uri, "codeInterpreterIdentifier", "codeInterpreterIdentifier", REQUIRED, &STRING),
        bound(Location::Query, "sessionId", "sessionId", REQUIRED, &CODE_INTERPRETER_SESSION_ID),
    ],
};
/// `GetCodeInterpreterSessionResponse`.
pub static GET_CODE_INTERPRETER_SESSION_RESPONSE: Shape = Shape::Structure {
    union: false,
    members: &[
        member("codeInterpreterIdentifier", REQUIRED, &STRING),
        member("sessionId", REQUIRED, &CODE_INTERPRETER_SESSION_ID),
        member("name", OPTIONAL, &NAME),
        member("createdAt", REQUIRED, &DATE_TIMESTAMP),
        member("sessionTimeoutSeconds", OPTIONAL, &CODE_INTERPRETER_SESSION_TIMEOUT),
        member("status", OPTIONAL, &CODE_INTERPRETER_SESSION_STATUS),
        member("certificates", OPTIONAL, &CERTIFICATES),
        member("filesystemConfigurations", OPTIONAL, &TOOLS_FILE_SYSTEM_CONFIGURATIONS),
    ],
};
/// `HostName`.
pub static HOST_NAME: Shape = Shape::String {
    min: Some(1),
    max: Some(253),
    pattern: Some(
        "[a-zA-Z0-9]([a-zA-Z0-9\\-]{0,61}[a-zA-Z0-9])?(\\.[a-zA-Z0-9]([a-zA-Z0-9\\-]{0,61}[a-zA-Z0-9])?)*",
    ),
    values: &[],
};
/// `InputContentBlock`.
pub static INPUT_CONTENT_BLOCK: Shape = Shape::Structure {
    union: false,
    members: &[
        member("path", REQUIRED, &MAX_LEN_STRING),
        member("text", OPTIONAL, &MAX_LEN_STRING),
        member("blob", OPTIONAL, &BODY),
    ],
};
/// `InputContentBlockList`.
pub static INPUT_CONTENT_BLOCK_LIST: Shape =
    Shape::List { min: None, max: None, member: &INPUT_CONTENT_BLOCK };
/// `Integer`.
pub static INTEGER: Shape = Shape::Integer { min: None, max: None };
/// `InternalServerException`.
pub static INTERNAL_SERVER_EXCEPTION: Shape =
    Shape::Structure { union: false, members: &[member("message", OPTIONAL, &NON_BLANK_STRING)] };
/// `InvokeBrowserRequest`.
pub static INVOKE_BROWSER_REQUEST: Shape = Shape::Structure {
    union: false,
    members: &[
        bound(Location::Uri, "browserIdentifier", "browserIdentifier", REQUIRED, &STRING),
        bound(Location::Header, "sessionId", "x-amzn-browser-session-id", REQUIRED, &BROWSER_SESSION_ID),
        member("action", REQUIRED, &BROWSER_ACTION),
    ],
};
/// `InvokeBrowserResponse`.
pub static INVOKE_BROWSER_RESPONSE: Shape = Shape::Structure {
    union: false,
    members: &[
        member("result", REQUIRED, &BROWSER_ACTION_RESULT),
        bound(Location::Header, "sessionId", "x-amzn-browser-session-id", REQUIRED, &BROWSER_SESSION_ID),
    ],
};
/// `InvokeCodeInterpreterRequest`.
pub static INVOKE_CODE_INTERPRETER_REQUEST: Shape = Shape::Structure {
    union: false,
    members: &[
        bound(Location::Uri, "codeInterpreterIdentifier", "codeInterpreterIdentifier", REQUIRED, &STRING),
        bound(
            Location::Header,
            "sessionId",
            "x-amzn-code-interpreter-session-id",
            OPTIONAL,
            &CODE_INTERPRETER_SESSION_ID,
        ),
        bound(
            Location::Header,
            "traceId",
            "X-Amzn-Trace-Id",
            OPTIONAL,
            &INVOKE_CODE_INTERPRETER_REQUEST_TRACE_ID_STRING,
        ),
        bound(
            Location::Header,
            "traceParent",
            "traceparent",
            OPTIONAL,
            &INVOKE_CODE_INTERPRETER_REQUEST_TRACE_PARENT_STRING,
        ),
        member("name", REQUIRED, &TOOL_NAME),
        member("arguments", OPTIONAL, &TOOL_ARGUMENTS),
    ],
};
/// `InvokeCodeInterpreterRequestTraceIdString`.
pub static INVOKE_CODE_INTERPRETER_REQUEST_TRACE_ID_STRING: Shape =
    Shape::String { min: Some(0), max: Some(1_024), pattern: None, values: &[] };
/// `InvokeCodeInterpreterRequestTraceParentString`.
pub static INVOKE_CODE_INTERPRETER_REQUEST_TRACE_PARENT_STRING: Shape =
    Shape::String { min: Some(0), max: Some(1_024), pattern: None, values: &[] };
/// `InvokeCodeInterpreterResponse`.
pub static INVOKE_CODE_INTERPRETER_RESPONSE: Shape = Shape::Structure {
    union: false,
    members: &[
        bound(
            Location::Header,
            "sessionId",
            "x-amzn-code-interpreter-session-id",
            OPTIONAL,
            &CODE_INTERPRETER_SESSION_ID,
        ),
        member("stream", REQUIRED, &CODE_INTERPRETER_STREAM_OUTPUT),
    ],
};
/// `KeyList`.
pub static KEY_LIST: Shape = Shape::List { min: Some(1), max: Some(5), member: &STRING };
/// `KeyPressArguments`.
pub static KEY_PRESS_ARGUMENTS: Shape = Shape::Structure {
    union: false,
    members: &[
        member("key", REQUIRED, &STRING),
        member("presses", OPTIONAL, &KEY_PRESS_ARGUMENTS_PRESSES_INTEGER),
    ],
};
/// `KeyPressArgumentsPressesInteger`.
pub static KEY_PRESS_ARGUMENTS_PRESSES_INTEGER: Shape = Shape::Integer { min: Some(1), max: Some(100) };
/// `KeyPressResult`.
pub static KEY_PRESS_RESULT: Shape = Shape::Structure {
    union: false,
    members: &[member("status", REQUIRED, &BROWSER_ACTION_STATUS), member("error", OPTIONAL, &STRING)],
};
/// `KeyShortcutArguments`.
pub static KEY_SHORTCUT_ARGUMENTS: Shape =
    Shape::Structure { union: false, members: &[member("keys", REQUIRED, &KEY_LIST)] };
/// `KeyShortcutResult`.
pub static KEY_SHORTCUT_RESULT: Shape = Shape::Structure {
    union: false,
    members: &[member("status", REQUIRED, &BROWSER_ACTION_STATUS), member("error", OPTIONAL, &STRING)],
};
/// `KeyTypeArguments`.
pub static KEY_TYPE_ARGUMENTS: Shape =
    Shape::Structure { union: false, members: &[member("text", REQUIRED, &KEY_TYPE_ARGUMENTS_TEXT_STRING)] };
/// `KeyTypeArgumentsTextString`.
pub static KEY_TYPE_ARGUMENTS_TEXT_STRING: Shape =
    Shape::String { min: Some(0), max: Some(10_000), pattern: None, values: &[] };
/// `KeyTypeResult`.
pub static KEY_TYPE_RESULT: Shape = Shape::Structure {
    union: false,
    members: &[member("status", REQUIRED, &BROWSER_ACTION_STATUS), member("error", OPTIONAL, &STRING)],
};
/// `LanguageRuntime`.
pub static LANGUAGE_RUNTIME: Shape =
    Shape::String { min: None, max: None, pattern: None, values: &["nodejs", "deno", "python"] };
/// `ListBrowserSessionsRequest`.
pub static LIST_BROWSER_SESSIONS_REQUEST: Shape = Shape::Structure {
    union: false,
    members: &[
        bound(Location::Uri, "browserIdentifier", "browserIdentifier", REQUIRED, &STRING),
        member("maxResults", OPTIONAL, &MAX_RESULTS),
        member("nextToken", OPTIONAL, &NEXT_TOKEN),
        member("status", OPTIONAL, &BROWSER_SESSION_STATUS),
    ],
};
/// `ListBrowserSessionsResponse`.
pub static LIST_BROWSER_SESSIONS_RESPONSE: Shape = Shape::Structure {
    union: false,
    members: &[
        member("items", REQUIRED, &BROWSER_SESSION_SUMMARIES),
        member("nextToken", OPTIONAL, &NEXT_TOKEN),
    ],
};
/// `ListCodeInterpreterSessionsRequest`.
pub static LIST_CODE_INTERPRETER_SESSIONS_REQUEST: Shape = Shape::Structure {
    union: false,
    members: &[
        bound(Location::Uri, "codeInterpreterIdentifier", "codeInterpreterIdentifier", REQUIRED, &STRING),
        member("maxResults", OPTIONAL, &MAX_RESULTS),
        member("nextToken", OPTIONAL, &NEXT_TOKEN),
        member("status", OPTIONAL, &CODE_INTERPRETER_SESSION_STATUS),
    ],
};
/// `ListCodeInterpreterSessionsResponse`.
pub static LIST_CODE_INTERPRETER_SESSIONS_RESPONSE: Shape = Shape::Structure {
    union: false,
    members: &[
        member("items", REQUIRED, &CODE_INTERPRETER_SESSION_SUMMARIES),
        member("nextToken", OPTIONAL, &NEXT_TOKEN),
    ],
};
/// `LiveViewStream`.
pub static LIVE_VIEW_STREAM: Shape = Shape::Structure {
    union: false,
    members: &[member("streamEndpoint", OPTIONAL, &BROWSER_STREAM_ENDPOINT)],
};
/// `Long`.
pub static LONG: Shape = Shape::Integer { min: None, max: None };
/// `MaxLenString`.
pub static MAX_LEN_STRING: Shape =
    Shape::String { min: Some(0), max: Some(100_000_000), pattern: None, values: &[] };
/// `MaxResults`.
pub static MAX_RESULTS: Shape = Shape::Integer { min: Some(1), max: Some(100) };
/// `MountPath`.
pub static MOUNT_PATH: Shape =
    Shape::String { min: Some(6), max: Some(200), pattern: Some("/mnt/[a-zA-Z0-9._-]+/?"), values: &[] };
/// `MouseButton`.
pub static MOUSE_BUTTON: Shape =
    Shape::String { min: None, max: None, pattern: None, values: &["LEFT", "RIGHT", "MIDDLE"] };
/// `MouseClickArguments`.
pub static MOUSE_CLICK_ARGUMENTS: Shape = Shape::Structure {
    union: false,
    members: &[
        member("x", REQUIRED, &INTEGER),
        member("y", REQUIRED, &INTEGER),
        member("button", OPTIONAL, &MOUSE_BUTTON),
        member("clickCount", OPTIONAL, &MOUSE_CLICK_ARGUMENTS_CLICK_COUNT_INTEGER),
    ],
};
/// `MouseClickArgumentsClickCountInteger`.
pub static MOUSE_CLICK_ARGUMENTS_CLICK_COUNT_INTEGER: Shape = Shape::Integer { min: Some(1), max: Some(10) };
/// `MouseClickResult`.
pub static MOUSE_CLICK_RESULT: Shape = Shape::Structure {
    union: false,
    members: &[member("status", REQUIRED, &BROWSER_ACTION_STATUS), member("error", OPTIONAL, &STRING)],
};
/// `MouseDragArguments`.
pub static MOUSE_DRAG_ARGUMENTS: Shape = Shape::Structure {
    union: false,
    members: &[
        member("endX", REQUIRED, &INTEGER),
        member("endY", REQUIRED, &INTEGER),
        member("startX", REQUIRED, &INTEGER),
        member("startY", REQUIRED, &INTEGER),
        member("button", OPTIONAL, &MOUSE_BUTTON),
    ],
};
/// `MouseDragResult`.
pub static MOUSE_DRAG_RESULT: Shape = Shape::Structure {
    union: false,
    members: &[member("status", REQUIRED, &BROWSER_ACTION_STATUS), member("error", OPTIONAL, &STRING)],
};
/// `MouseMoveArguments`.
pub static MOUSE_MOVE_ARGUMENTS: Shape = Shape::Structure {
    union: false,
    members: &[member("x", REQUIRED, &INTEGER), member("y", REQUIRED, &INTEGER)],
};
/// `MouseMoveResult`.
pub static MOUSE_MOVE_RESULT: Shape = Shape::Structure {
    union: false,
    members: &[member("status", REQUIRED, &BROWSER_ACTION_STATUS), member("error", OPTIONAL, &STRING)],
};
/// `MouseScrollArguments`.
pub static MOUSE_SCROLL_ARGUMENTS: Shape = Shape::Structure {
    union: false,
    members: &[
        member("x", REQUIRED, &INTEGER),
        member("y", REQUIRED, &INTEGER),
        member("deltaX", OPTIONAL, &MOUSE_SCROLL_ARGUMENTS_DELTA_X_INTEGER),
        member("deltaY", OPTIONAL, &MOUSE_SCROLL_ARGUMENTS_DELTA_Y_INTEGER),
    ],
};
/// `MouseScrollArgumentsDeltaXInteger`.
pub static MOUSE_SCROLL_ARGUMENTS_DELTA_X_INTEGER: Shape =
    Shape::Integer { min: Some(-1_000), max: Some(1_000) };
/// `MouseScrollArgumentsDeltaYInteger`.
pub static MOUSE_SCROLL_ARGUMENTS_DELTA_Y_INTEGER: Shape =
    Shape::Integer { min: Some(-1_000), max: Some(1_000) };
/// `MouseScrollResult`.
pub static MOUSE_SCROLL_RESULT: Shape = Shape::Structure {
    union: false,
    members: &[member("status", REQUIRED, &BROWSER_ACTION_STATUS), member("error", OPTIONAL, &STRING)],
};
/// `Name`.
pub static NAME: Shape = Shape::String { min: Some(1), max: Some(100), pattern: None, values: &[] };
/// `NextToken`.
pub static NEXT_TOKEN: Shape =
    Shape::String { min: Some(1), max: Some(2_048), pattern: Some("\\S*"), values: &[] };
/// `NonBlankString`.
pub static NON_BLANK_STRING: Shape =
    Shape::String { min: None, max: None, pattern: Some("[\\s\\S]+"), values: &[] };
/// `ProgrammingLanguage`.
pub static PROGRAMMING_LANGUAGE: Shape =
    Shape::String { min: None, max: None, pattern: None, values: &["python", "javascript", "typescript"] };
/// `Proxy`.
pub static PROXY: Shape =
    Shape::Structure { union: true, members: &[member("externalProxy", OPTIONAL, &EXTERNAL_PROXY)] };
/// `ProxyBypass`.
pub static PROXY_BYPASS: Shape =
    Shape::Structure { union: false, members: &[member("domainPatterns", OPTIONAL, &DOMAIN_PATTERNS)] };
/// `ProxyConfiguration`.
pub static PROXY_CONFIGURATION: Shape = Shape::Structure {
    union: false,
    members: &[
        member("proxies", REQUIRED, &PROXY_CONFIGURATION_PROXIES_LIST),
        member("bypass", OPTIONAL, &PROXY_BYPASS),
    ],
};
/// `ProxyConfigurationProxiesList`.
pub static PROXY_CONFIGURATION_PROXIES_LIST: Shape =
    Shape::List { min: Some(1), max: Some(5), member: &PROXY };
/// `ProxyCredentials`.
pub static PROXY_CREDENTIALS: Shape =
    Shape::Structure { union: true, members: &[member("basicAuth", OPTIONAL, &BASIC_AUTH)] };
/// `ResourceContent`.
pub static RESOURCE_CONTENT: Shape = Shape::Structure {
    union: false,
    members: &[
        member("type", REQUIRED, &RESOURCE_CONTENT_TYPE),
        member("uri", OPTIONAL, &STRING),
        member("mimeType", OPTIONAL, &STRING),
        member("text", OPTIONAL, &STRING),
        member("blob", OPTIONAL, &BLOB),
    ],
};
/// `ResourceContentType`.
pub static RESOURCE_CONTENT_TYPE: Shape =
    Shape::String { min: None, max: None, pattern: None, values: &["text", "blob"] };
/// `ResourceLocation`.
pub static RESOURCE_LOCATION: Shape =
    Shape::Structure { union: true, members: &[member("s3", OPTIONAL, &S3_LOCATION)] };
/// `ResourceNotFoundException`.
pub static RESOURCE_NOT_FOUND_EXCEPTION: Shape =
    Shape::Structure { union: false, members: &[member("message", OPTIONAL, &NON_BLANK_STRING)] };
/// `S3FilesAccessPointArn`.
pub static S3_FILES_ACCESS_POINT_ARN: Shape = Shape::String {
    min: Some(0),
    max: Some(256),
    pattern: Some(
        "arn:aws[-a-z]*:s3files:[0-9a-z-:]+:file-system/fs-[0-9a-f]{17,40}/access-point/fsap-[0-9a-f]{17,40}",
    ),
    values: &[],
};
/// `S3FilesConfiguration`.
pub static S3_FILES_CONFIGURATION: Shape = Shape::Structure {
    union: false,
    members: &[
        member("accessPointArn", REQUIRED, &S3_FILES_ACCESS_POINT_ARN),
        member("mountPath", REQUIRED, &MOUNT_PATH),
        member("fileSystemArn", REQUIRED, &S3_FILES_FILE_SYSTEM_ARN),
    ],
};
/// `S3FilesFileSystemArn`.
pub static S3_FILES_FILE_SYSTEM_ARN: Shape = Shape::String {
    min: Some(0),
    max: Some(256),
    pattern: Some("arn:aws[-a-z]*:s3files:[a-z0-9-]+:[0-9]{12}:file-system/fs-[0-9a-f]{17,40}"),
    values: &[],
};
/// `S3Location`.
pub static S3_LOCATION: Shape = Shape::Structure {
    union: false,
    members: &[
        member("bucket", REQUIRED, &S3_LOCATION_BUCKET_STRING),
        member("prefix", REQUIRED, &S3_LOCATION_PREFIX_STRING),
        member("versionId", OPTIONAL, &S3_LOCATION_VERSION_ID_STRING),
    ],
};
/// `S3LocationBucketString`.
pub static S3_LOCATION_BUCKET_STRING: Shape =
    Shape::String { min: Some(3), max: Some(63), pattern: Some("[a-z0-9][a-z0-9.-]*[a-z0-9]"), values: &[] };
/// `S3LocationPrefixString`.
pub static S3_LOCATION_PREFIX_STRING: Shape =
    Shape::String { min: Some(1), max: Some(1_024), pattern: None, values: &[] };
/// `S3LocationVersionIdString`.
pub static S3_LOCATION_VERSION_ID_STRING: Shape =
    Shape::String { min: Some(1), max: Some(1_024), pattern: None, values: &[] };
/// `ScreenshotArguments`.
pub static SCREENSHOT_ARGUMENTS: Shape =
    Shape::Structure { union: false, members: &[member("format", OPTIONAL, &SCREENSHOT_FORMAT)] };
/// `ScreenshotFormat`.
pub static SCREENSHOT_FORMAT: Shape = Shape::String { min: None, max: None, pattern: None, values: &["PNG"] };
/// `ScreenshotResult`.
pub static SCREENSHOT_RESULT: Shape = Shape::Structure {
    union: false,
    members: &[
        member("status", REQUIRED, &BROWSER_ACTION_STATUS),
        member("error", OPTIONAL, &STRING),
        member("data", OPTIONAL, &BLOB),
    ],
};
/// `SecretArn`.
pub static SECRET_ARN: Shape = Shape::String {
    min: None,
    max: None,
    pattern: Some("arn:aws(-[a-z-]+)?:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[a-zA-Z0-9/_+=.@-]+"),
    values: &[],
};
/// `SecretsManagerLocation`.
pub static SECRETS_MANAGER_LOCATION: Shape =
    Shape::Structure { union: false, members: &[member("secretArn", REQUIRED, &SECRET_ARN)] };
/// `ServiceQuotaExceededException`.
pub static SERVICE_QUOTA_EXCEEDED_EXCEPTION: Shape =
    Shape::Structure { union: false, members: &[member("message", OPTIONAL, &NON_BLANK_STRING)] };
/// `StartBrowserSessionRequest`.
pub static START_BROWSER_SESSION_REQUEST: Shape = Shape::Structure {
    union: false,
    members: &[
        bound(
            Location::Header,
            "traceId",
            "X-Amzn-Trace-Id",
            OPTIONAL,
            &START_BROWSER_SESSION_REQUEST_TRACE_ID_STRING,
        ),
        bound(
            Location::Header,
            "traceParent",
            "traceparent",
            OPTIONAL,
            &START_BROWSER_SESSION_REQUEST_TRACE_PARENT_STRING,
        ),
        bound(Location::Uri, "browserIdentifier", "browserIdentifier", REQUIRED, &STRING),
        member("name", OPTIONAL, &NAME),
        member("sessionTimeoutSeconds", OPTIONAL, &BROWSER_SESSION_TIMEOUT),
        member("viewPort", OPTIONAL, &VIEW_PORT),
        member("extensions", OPTIONAL, &BROWSER_EXTENSIONS),
        member("profileConfiguration", OPTIONAL, &BROWSER_PROFILE_CONFIGURATION),
        member("proxyConfiguration", OPTIONAL, &PROXY_CONFIGURATION),
        member("enterprisePolicies", OPTIONAL, &BROWSER_ENTERPRISE_POLICIES),
        member("certificates", OPTIONAL, &CERTIFICATES),
        member("filesystemConfigurations", OPTIONAL, &TOOLS_FILE_SYSTEM_CONFIGURATIONS),
        member("clientToken", OPTIONAL, &CLIENT_TOKEN),
    ],
};
/// `StartBrowserSessionRequestTraceIdString`.
pub static START_BROWSER_SESSION_REQUEST_TRACE_ID_STRING: Shape =
    Shape::String { min: Some(0), max: Some(1_024), pattern: None, values: &[] };
/// `StartBrowserSessionRequestTraceParentString`.
pub static START_BROWSER_SESSION_REQUEST_TRACE_PARENT_STRING: Shape =
    Shape::String { min: Some(0), max: Some(1_024), pattern: None, values: &[] };
/// `StartBrowserSessionResponse`.
pub static START_BROWSER_SESSION_RESPONSE: Shape = Shape::Structure {
    union: false,
    members: &[
        member("browserIdentifier", REQUIRED, &STRING),
        member("sessionId", REQUIRED, &BROWSER_SESSION_ID),
        member("createdAt", REQUIRED, &DATE_TIMESTAMP),
        member("streams", OPTIONAL, &BROWSER_SESSION_STREAM),
    ],
};
/// `StartCodeInterpreterSessionRequest`.
pub static START_CODE_INTERPRETER_SESSION_REQUEST: Shape = Shape::Structure {
    union: false,
    members: &[
        bound(
            Location::Header,
            "traceId",
            "X-Amzn-Trace-Id",
            OPTIONAL,
            &START_CODE_INTERPRETER_SESSION_REQUEST_TRACE_ID_STRING,
        ),
        bound(
            Location::Header,
            "traceParent",
            "traceparent",
            OPTIONAL,
            &START_CODE_INTERPRETER_SESSION_REQUEST_TRACE_PARENT_STRING,
        ),
        bound(Location::Uri, "codeInterpreterIdentifier", "codeInterpreterIdentifier", REQUIRED, &STRING),
        member("name", OPTIONAL, &NAME),
        member("sessionTimeoutSeconds", OPTIONAL, &CODE_INTERPRETER_SESSION_TIMEOUT),
        member("certificates", OPTIONAL, &CERTIFICATES),
        member("filesystemConfigurations", OPTIONAL, &TOOLS_FILE_SYSTEM_CONFIGURATIONS),
        member("clientToken", OPTIONAL, &CLIENT_TOKEN),
    ],
};
/// `StartCodeInterpreterSessionRequestTraceIdString`.
pub static START_CODE_INTERPRETER_SESSION_REQUEST_TRACE_ID_STRING: Shape =
    Shape::String { min: Some(0), max: Some(1_024), pattern: None, values: &[] };
/// `StartCodeInterpreterSessionRequestTraceParentString`.
pub static START_CODE_INTERPRETER_SESSION_REQUEST_TRACE_PARENT_STRING: Shape =
    Shape::String { min: Some(0), max: Some(1_024), pattern: None, values: &[] };
/// `StartCodeInterpreterSessionResponse`.
pub static START_CODE_INTERPRETER_SESSION_RESPONSE: Shape = Shape::Structure {
    union: false,
    members: &[
        member("codeInterpreterIdentifier", REQUIRED, &STRING),
        member("sessionId", REQUIRED, &CODE_INTERPRETER_SESSION_ID),
        member("createdAt", REQUIRED, &DATE_TIMESTAMP),
    ],
};
/// `StopBrowserSessionRequest`.
pub static STOP_BROWSER_SESSION_REQUEST: Shape = Shape::Structure {
    union: false,
    members: &[
        bound(
            Location::Header,
            "traceId",
            "X-Amzn-Trace-Id",
            OPTIONAL,
            &STOP_BROWSER_SESSION_REQUEST_TRACE_ID_STRING,
        ),
        bound(
            Location::Header,
            "traceParent",
            "traceparent",
            OPTIONAL,
            &STOP_BROWSER_SESSION_REQUEST_TRACE_PARENT_STRING,
        ),
        bound(Location::Uri, "browserIdentifier", "browserIdentifier", REQUIRED, &STRING),
        bound(Location::Query, "sessionId", "sessionId", REQUIRED, &BROWSER_SESSION_ID),
        member("clientToken", OPTIONAL, &CLIENT_TOKEN),
    ],
};
/// `StopBrowserSessionRequestTraceIdString`.
pub static STOP_BROWSER_SESSION_REQUEST_TRACE_ID_STRING: Shape =
    Shape::String { min: Some(0), max: Some(1_024), pattern: None, values: &[] };
/// `StopBrowserSessionRequestTraceParentString`.
pub static STOP_BROWSER_SESSION_REQUEST_TRACE_PARENT_STRING: Shape =
    Shape::String { min: Some(0), max: Some(1_024), pattern: None, values: &[] };
/// `StopBrowserSessionResponse`.
pub static STOP_BROWSER_SESSION_RESPONSE: Shape = Shape::Structure {
    union: false,
    members: &[
        member("browserIdentifier", REQUIRED, &STRING),
        member("sessionId", REQUIRED, &BROWSER_SESSION_ID),
        member("lastUpdatedAt", REQUIRED, &DATE_TIMESTAMP),
    ],
};
/// `StopCodeInterpreterSessionRequest`.
pub static STOP_CODE_INTERPRETER_SESSION_REQUEST: Shape = Shape::Structure {
    union: false,
    members: &[
        bound(
            Location::Header,
            "traceId",
            "X-Amzn-Trace-Id",
            OPTIONAL,
            &STOP_CODE_INTERPRETER_SESSION_REQUEST_TRACE_ID_STRING,
        ),
        bound(
            Location::Header,
            "traceParent",
            "traceparent",
            OPTIONAL,
            &STOP_CODE_INTERPRETER_SESSION_REQUEST_TRACE_PARENT_STRING,
        ),
        bound(Location::Uri, "codeInterpreterIdentifier", "codeInterpreterIdentifier", REQUIRED, &STRING),
        bound(Location::Query, "sessionId", "sessionId", REQUIRED, &CODE_INTERPRETER_SESSION_ID),
        member("clientToken", OPTIONAL, &CLIENT_TOKEN),
    ],
};
/// `StopCodeInterpreterSessionRequestTraceIdString`.
pub static STOP_CODE_INTERPRETER_SESSION_REQUEST_TRACE_ID_STRING: Shape =
    Shape::String { min: Some(0), max: Some(1_024), pattern: None, values: &[] };
/// `StopCodeInterpreterSessionRequestTraceParentString`.
pub static STOP_CODE_INTERPRETER_SESSION_REQUEST_TRACE_PARENT_STRING: Shape =
    Shape::String { min: Some(0), max: Some(1_024), pattern: None, values: &[] };
/// `StopCodeInterpreterSessionResponse`.
pub static STOP_CODE_INTERPRETER_SESSION_RESPONSE: Shape = Shape::Structure {
    union: false,
    members: &[
        member("codeInterpreterIdentifier", REQUIRED, &STRING),
        member("sessionId", REQUIRED, &CODE_INTERPRETER_SESSION_ID),
        member("lastUpdatedAt", REQUIRED, &DATE_TIMESTAMP),
    ],
};
/// `StreamUpdate`.
pub static STREAM_UPDATE: Shape = Shape::Structure {
    union: true,
    members: &[member("automationStreamUpdate", OPTIONAL, &AUTOMATION_STREAM_UPDATE)],
};
/// `String`.
pub static STRING: Shape = Shape::String { min: None, max: None, pattern: None, values: &[] };
/// `StringList`.
pub static STRING_LIST: Shape = Shape::List { min: None, max: None, member: &MAX_LEN_STRING };
/// `TaskStatus`.
pub static TASK_STATUS: Shape = Shape::String {
    min: None,
    max: None,
    pattern: None,
    values: &["submitted", "working", "completed", "canceled", "failed"],
};
/// `ThrottlingException`.
pub static THROTTLING_EXCEPTION: Shape =
    Shape::Structure { union: false, members: &[member("message", OPTIONAL, &NON_BLANK_STRING)] };
/// `ToolArguments`.
pub static TOOL_ARGUMENTS: Shape = Shape::Structure {
    union: false,
    members: &[
        member("code", OPTIONAL, &MAX_LEN_STRING),
        member("language", OPTIONAL, &PROGRAMMING_LANGUAGE),
        member("clearContext", OPTIONAL, &BOOLEAN),
        member("command", OPTIONAL, &MAX_LEN_STRING),
        member("path", OPTIONAL, &MAX_LEN_STRING),
        member("paths", OPTIONAL, &STRING_LIST),
        member("content", OPTIONAL, &INPUT_CONTENT_BLOCK_LIST),
        member("directoryPath", OPTIONAL, &MAX_LEN_STRING),
        member("taskId", OPTIONAL, &MAX_LEN_STRING),
        member("runtime", OPTIONAL, &LANGUAGE_RUNTIME),
    ],
};
/// `ToolName`.
pub static TOOL_NAME: Shape = Shape::String {
    min: None,
    max: None,
    pattern: None,
    values: &[
        "executeCode",
        "executeCommand",
        "readFiles",
        "listFiles",
        "removeFiles",
        "writeFiles",
        "startCommandExecution",
        "getTask",
        "stopTask",
    ],
};
/// `ToolResultStructuredContent`.
pub static TOOL_RESULT_STRUCTURED_CONTENT: Shape = Shape::Structure {
    union: false,
    members: &[
        member("taskId", OPTIONAL, &STRING),
        member("taskStatus", OPTIONAL, &TASK_STATUS),
        member("stdout", OPTIONAL, &STRING),
        member("stderr", OPTIONAL, &STRING),
        member("exitCode", OPTIONAL, &INTEGER),
        member("executionTime", OPTIONAL, &DOUBLE),
    ],
};
/// `ToolsFileSystemConfiguration`.
pub static TOOLS_FILE_SYSTEM_CONFIGURATION: Shape = Shape::Structure {
    union: true,
    members: &[
        member("s3FilesConfiguration", OPTIONAL, &S3_FILES_CONFIGURATION),
        member("efsConfiguration", OPTIONAL, &EFS_CONFIGURATION),
    ],
};
/// `ToolsFileSystemConfigurations`.
pub static TOOLS_FILE_SYSTEM_CONFIGURATIONS: Shape =
    Shape::List { min: Some(0), max: Some(10), member: &TOOLS_FILE_SYSTEM_CONFIGURATION };
/// `UpdateBrowserStreamRequest`.
pub static UPDATE_BROWSER_STREAM_REQUEST: Shape = Shape::Structure {
    union: false,
    members: &[
        bound(Location::Uri, "browserIdentifier", "browserIdentifier", REQUIRED, &STRING),
        bound(Location::Query, "sessionId", "sessionId", REQUIRED, &BROWSER_SESSION_ID),
        member("streamUpdate", REQUIRED, &STREAM_UPDATE),
        member("clientToken", OPTIONAL, &CLIENT_TOKEN),
    ],
};
/// `UpdateBrowserStreamResponse`.
pub static UPDATE_BROWSER_STREAM_RESPONSE: Shape = Shape::Structure {
    union: false,
    members: &[
        member("browserIdentifier", REQUIRED, &STRING),
        member("sessionId", REQUIRED, &BROWSER_SESSION_ID),
        member("streams", REQUIRED, &BROWSER_SESSION_STREAM),
        member("updatedAt", REQUIRED, &DATE_TIMESTAMP),
    ],
};
/// `ValidationException`.
pub static VALIDATION_EXCEPTION: Shape = Shape::Structure {
    union: false,
    members: &[
        member("message", REQUIRED, &STRING),
        member("reason", REQUIRED, &VALIDATION_EXCEPTION_REASON),
        member("fieldList", OPTIONAL, &VALIDATION_EXCEPTION_FIELD_LIST),
    ],
};
/// `ValidationExceptionField`.
pub static VALIDATION_EXCEPTION_FIELD: Shape = Shape::Structure {
    union: false,
    members: &[member("name", REQUIRED, &STRING), member("message", REQUIRED, &STRING)],
};
/// `ValidationExceptionFieldList`.
pub static VALIDATION_EXCEPTION_FIELD_LIST: Shape =
    Shape::List { min: None, max: None, member: &VALIDATION_EXCEPTION_FIELD };
/// `ValidationExceptionReason`.
pub static VALIDATION_EXCEPTION_REASON: Shape = Shape::String {
    min: None,
    max: None,
    pattern: None,
    values: &[
        "CannotParse",
        "FieldValidationFailed",
        "IdempotentParameterMismatchException",
        "EventInOtherSession",
        "ResourceConflict",
    ],
};
/// `ViewPort`.
pub static VIEW_PORT: Shape = Shape::Structure {
    union: false,
    members: &[member("width", REQUIRED, &VIEW_PORT_WIDTH), member("height", REQUIRED, &VIEW_PORT_HEIGHT)],
};
/// `ViewPortHeight`.
pub static VIEW_PORT_HEIGHT: Shape = Shape::Integer { min: Some(240), max: Some(2_160) };
/// `ViewPortWidth`.
pub static VIEW_PORT_WIDTH: Shape = Shape::Integer { min: Some(320), max: Some(3_840) };
